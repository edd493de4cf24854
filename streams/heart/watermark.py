"""Watermark: how far time has come, by the log alone.

A mark says of one posts partition: every record with arrival < mark is delivered here. The watermark is the lowest mark
over all posts partitions, less a guard of 2 s, because a broker's clock may step back when its leader changes; it never
goes backwards. A pane *closes* at its end + delay and *seals* at its end + grace. No clock is asked: if all feeds stop,
time stops. The *highest* mark is where the present is shown.
Knows nothing of rows, figures or Kafka.
"""

from collections.abc import Iterable, Mapping

from streams.heart.frame import Mark
from streams.heart.pane import PANE_MS

GUARD_MS = 2_000


class Watermark:
    """The marks of all posts partitions, and the time they prove."""

    def __init__(self, partitions: int, marks: Mapping[int, int] | None = None, now_ms: int | None = None) -> None:
        """`marks` and `now_ms`: those of another one, to go on from."""
        self.partitions = partitions
        self.marks = dict(marks or {})
        self._silent = set(range(partitions)) - self.marks.keys()  # not heard of yet
        self.now_ms = now_ms  # the watermark; None: not every partition has been heard of

    def update(self, marks: Iterable[Mark]) -> None:
        """Takes marks in any order, as often as they come."""
        for mark in marks:
            self.marks[mark.partition] = max(mark.mark_ms, self.marks.get(mark.partition, mark.mark_ms))
        self._silent.difference_update(self.marks if self._silent else ())
        if not self._silent:
            lowest = min(self.marks.values()) - GUARD_MS
            self.now_ms = lowest if self.now_ms is None else max(self.now_ms, lowest)

    @property
    def highest_ms(self) -> int | None:
        """The highest mark: windows end with the pane that holds it."""
        return max(self.marks.values(), default=None)

    def passed(self, after_ms: int) -> int | None:
        """The first pane that the watermark has not passed: all before it end at least `after_ms` before it.

        >>> mark = Watermark(1)
        >>> mark.update([Mark(0, 42_000)])
        >>> mark.now_ms, mark.passed(0), mark.passed(30_000)
        (40000, 4, 1)
        """
        return None if self.now_ms is None else (self.now_ms - after_ms) // PANE_MS
