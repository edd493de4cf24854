"""Clock: the one place that asks what time it is.

The wall clock, or a public clock: the demo's public lives a day in six minutes, and every worker that is told the same
clock agrees with it. Showing asks a clock (ages, `replaying`); counting never does.
Knows nothing of what is counted or shown.
"""

import re
import time
from collections.abc import Callable

from streams.heart.errors import BadSetting

_PUBLIC = re.compile(r"(-?\d+)@(-?\d+)x(\d+(?:\.\d+)?)\Z")


class Clock:
    """Tells the time in whole ms UTC.

    `said` is "" for the wall clock, or "PUBLIC_MS@WALL_MSxSPEED": the clock showed PUBLIC_MS when the wall clock showed
    WALL_MS, and runs SPEED times as fast.

    >>> Clock("1000000@500x240", wall=lambda: 1.5).now_ms()
    1240000
    >>> Clock(wall=lambda: 1.5).now_ms()
    1500
    """

    def __init__(self, said: str = "", *, wall: Callable[[], float] = time.time) -> None:
        """Raises `BadSetting` for anything else."""
        self._wall = wall
        self._public_ms, self._wall_ms, self.speed = 0, 0, 1.0
        if said:
            match = _PUBLIC.match(said)
            if match is None or not float(match[3]) > 0:
                raise BadSetting(
                    f"clock = {said!r}: expected PUBLIC_MS@WALL_MSxSPEED, such as 1577836800000@1795586400000x240"
                )
            self._public_ms, self._wall_ms, self.speed = int(match[1]), int(match[2]), float(match[3])

    @classmethod
    def public(cls, public_ms: int, speed: float, *, wall: Callable[[], float] = time.time) -> "Clock":
        """A clock that shows `public_ms` now and runs `speed` times as fast as the wall clock."""
        return cls(f"{public_ms}@{int(wall() * 1000)}x{speed:g}", wall=wall)

    def now_ms(self) -> int:
        """What the clock shows, ms UTC."""
        return self.at(self._wall())

    def at(self, wall_s: float) -> int:
        """What the clock shows when the wall clock shows so many seconds since 1970."""
        return self._public_ms + int((int(wall_s * 1000) - self._wall_ms) * self.speed)

    def seconds(self, span_ms: float) -> float:
        """A span of this clock as the seconds that a person with a watch waits for it.

        >>> Clock("0@0x240").seconds(60_000)
        0.25
        """
        return span_ms / 1000 / self.speed

    def __str__(self) -> str:
        """The clock as a setting; `Clock` reads it back."""
        if (self._public_ms, self._wall_ms, self.speed) == (0, 0, 1.0):
            return ""
        return f"{self._public_ms}@{self._wall_ms}x{self.speed:g}"

    def __repr__(self) -> str:
        return f"Clock({str(self)!r})"
