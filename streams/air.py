"""Air: a public on the air. Its happenings go out when they are due, its ticks between them.

    happenings in the order of sending ──▶ send, when its time has come ──▶ tick: all before now has been sent

Knows nothing of Kafka, or of what a happening says.
"""

import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from streams.clock import Clock

TICK_MS = 12_000.0  # of the public's time, less than the delay: else panes close before their ticks are there
MOST_S = 1.0


class Timed(Protocol):
    """What has a time to be sent at."""

    @property
    def at_ms(self) -> int:
        """When, by the clock."""


_One = TypeVar("_One", bound=Timed)


def air(happenings: Iterable[_One], clock: Clock, send: Callable[[_One], None], tick: Callable[[int], None],
        is_over: Callable[[], bool]) -> None:
    """Sends until it is over. What is overdue goes at once; a tick never says more than has been sent."""
    every_s = min(MOST_S, clock.seconds(TICK_MS))
    ticked = float("-inf")
    for happening in happenings:
        while True:
            if is_over():
                return
            now_s, now_ms = time.monotonic(), clock.now_ms()
            if now_s - ticked >= every_s:
                ticked = now_s
                tick(min(now_ms, happening.at_ms))  # where sending lags behind, so does the time that it may tell of
            ahead_s = clock.seconds(happening.at_ms - now_ms)
            if ahead_s <= 0:
                break
            time.sleep(min(ahead_s, every_s / 4))
        send(happening)
