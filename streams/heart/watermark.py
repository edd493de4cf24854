"""Watermark: how far time has come, by the log alone.

A mark says of one posts partition: every record with arrival < mark is delivered here. The watermark is the lowest mark
over all posts partitions, less a guard of 2 s, because a broker's clock may step back when its leader changes; it never
goes backwards. A pane *closes* at its end + delay and *seals* at its end + grace. No clock is asked: if all feeds stop,
time stops. The *highest* mark is where the present is shown.

Health: a feed's tick says until when each of its sources was listened to without a gap. A closed pane is *sick* for a
source if no tick that arrived before it closed reached its end.
Knows nothing of rows, figures or Kafka.
"""

from collections.abc import Iterable
from heapq import heappop, heappush

from streams.heart.frame import Health, Mark
from streams.heart.pane import PANE_MS, end_ms

GUARD_MS = 2_000
DAY = 8_640  # panes


class Watermark:
    """The marks of all posts partitions, and the time they prove."""

    def __init__(self, partitions: int) -> None:
        self.marks: dict[int, int] = {}
        self._partitions = partitions
        self.now_ms: int | None = None  # the watermark; None: not every partition has been heard of

    def update(self, marks: Iterable[Mark]) -> None:
        """Takes marks in any order, as often as they come."""
        for mark in marks:
            self.marks[mark.partition] = max(mark.mark_ms, self.marks.get(mark.partition, mark.mark_ms))
        if len(self.marks) >= self._partitions:
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


class Wellness:
    """Which panes are sick for which source, decided as panes close."""

    def __init__(self) -> None:
        self._ticks: dict[str, list[tuple[int, int]]] = {}
        self._until: dict[str, int] = {}
        self._sick: dict[str, set[int]] = {}

    def update(self, health: Iterable[Health]) -> None:
        """Takes ticks in any order."""
        for said in health:
            heappush(self._ticks.setdefault(said.source, []), (said.arrival_ms, said.until_ms))

    def close(self, pane: int, delay_ms: int) -> None:
        """Judges a pane that closes now; panes close in order."""
        for source, ticks in self._ticks.items():
            while ticks and ticks[0][0] < end_ms(pane) + delay_ms:
                self._until[source] = max(heappop(ticks)[1], self._until.get(source, -1))
            if self._until.get(source, end_ms(pane)) < end_ms(pane):
                self._sick.setdefault(source, set()).add(pane)
        for panes in self._sick.values():
            panes.discard(pane - DAY)

    def is_anybody_sick(self) -> bool:
        """Whether any source has a sick pane within the last day."""
        return any(self._sick.values())

    def share(self, source: str, first: int, after: int) -> float:
        """The share of the panes [first, after) in which the source was healthy."""
        sick = self._sick.get(source)
        if not sick or after <= first:
            return 1.0
        return 1.0 - sum(first <= pane < after for pane in sick) / (after - first)
