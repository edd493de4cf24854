"""Trail: where in a log which time was. For whoever must read a piece of it again as it was read before.

    offset    frames from it on …
    latest    … had seen arrivals of this slice of 10 s, and none of a later one, until the next point
    closed    … met panes closed up to here

A point is kept for each change, so a few hundred hold hours of log. From them follow the first frame in which a record
of some arrival may stand, and what a row that is read again met when it was read first.
Knows nothing of rows, Kafka or clocks.
"""

from bisect import bisect_right
from typing import NamedTuple

from streams.heart.pane import PANE_MS

NEVER = -(2**62)  # before any time: nothing seen, no pane closed


class Point(NamedTuple):
    """From the frame at `offset` on. `latest`, `closed`: panes."""

    offset: int
    latest: int
    closed: int


class Trail:
    """The points of one log, offsets rising."""

    def __init__(self, points: tuple[Point, ...] = ()) -> None:
        self._points = list(points)

    @property
    def points(self) -> tuple[Point, ...]:
        """All points that are kept, oldest first."""
        return tuple(self._points)

    def note(self, offset: int, arrival_ms: int, closed: int | None) -> None:
        """The frame at this offset: the latest arrival in it, and the panes (all before `closed`) that it met closed.

        Offsets rise.
        """
        last = self._points[-1] if self._points else Point(offset, NEVER, NEVER)
        latest = max(arrival_ms // PANE_MS, last.latest)
        closed = NEVER if closed is None else closed
        if not self._points or (latest, closed) != last[1:]:
            self._points.append(Point(offset, latest, closed))

    def closed_at(self, offset: int) -> int:
        """Up to which pane all were closed when this frame was read."""
        at = bisect_right(self._points, offset, key=lambda point: point.offset)
        return self._points[at - 1].closed if at else NEVER

    def since(self, arrival_ms: int, otherwise: int) -> int:
        """The first frame in which a record of this arrival, or of a later one, may stand; `otherwise`: none yet.

        >>> trail = Trail()
        >>> for offset, arrival_ms in ((7, 5_000), (8, 9_000), (9, 31_000)):
        ...     trail.note(offset, arrival_ms, None)
        >>> trail.since(8_000, 10), trail.since(12_000, 10), trail.since(40_000, 10)
        (7, 9, 10)
        """
        pane = arrival_ms // PANE_MS
        at = bisect_right(self._points, pane - 1, key=lambda point: point.latest)
        return self._points[at].offset if at < len(self._points) else otherwise

    def forget(self, offset: int) -> None:
        """Drops what is said of the frames before this one."""
        at = bisect_right(self._points, offset, key=lambda point: point.offset)
        del self._points[:max(at - 1, 0)]
