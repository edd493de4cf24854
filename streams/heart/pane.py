"""Panes: slices of event time, and the sums that they and all longer spans are made of.

A pane is 10 s, named by its number: event time div 10 s. Spans are half-open, so neighbours touch and never overlap.
Sums are whole numbers (a score counts in 1/10,000), so they add up exactly, in any order; nothing is ever subtracted:
to forget a pane, leave it out.
Knows nothing of posts, votes, watermarks or clocks.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

PANE_MS = 10_000
MINUTE = 6  # panes
UNIT = 10_000  # a score of 1.0

Rows = npt.NDArray[np.void]  # a structured array; its dtype stands beside its name

# One brand in one span of time: the plain counts, and the votes (see `ballot`)..
SUM = np.dtype([
    ("brand", "<u4"),
    ("negative", "<i4"), ("neutral", "<i4"), ("positive", "<i4"), ("abstained", "<i4"), ("score", "<i8"),
    ("copies", "<i4"),  # scored mentions whose text another one had said in the same hour
    ("negative_votes", "<i4"), ("neutral_votes", "<i4"), ("positive_votes", "<i4"),
    ("vote", "<i8"), ("vote_square", "<i8"),
])
FIELDS = tuple(name for name in SUM.names or () if name != "brand")
NOTHING = np.zeros(0, SUM)


def pane_of(event_ms: int) -> int:
    """The number of the pane that holds a time.

    >>> pane_of(0), pane_of(9_999), pane_of(10_000), pane_of(-1)
    (0, 0, 1, -1)
    """
    return event_ms // PANE_MS


def end_ms(pane: int) -> int:
    """The end of a pane, which it does not hold."""
    return (pane + 1) * PANE_MS


def add(parts: Iterable[Rows]) -> Rows:
    """The sum of sums: one row per brand, by brand. Commutative, associative, `NOTHING` its zero."""
    kept = [part for part in parts if len(part)]
    if len(kept) < 2:
        return kept[0] if kept else NOTHING
    return grouped(np.concatenate(kept))


def grouped(rows: Rows) -> Rows:
    """Rows of one brand become one row."""
    order = np.argsort(rows["brand"], kind="stable")
    rows = rows[order]
    first = np.flatnonzero(np.r_[True, rows["brand"][1:] != rows["brand"][:-1]])
    out = np.zeros(len(first), SUM)
    out["brand"] = rows["brand"][first]
    for name in FIELDS:
        out[name] = np.add.reduceat(rows[name], first)
    return out


def dense(sums: Rows, brands: int) -> dict[str, npt.NDArray[np.int64]]:
    """Sums as one array per field, indexed by brand."""
    out = {}
    for name in FIELDS:
        column = np.zeros(brands, np.int64)
        column[sums["brand"]] = sums[name]
        out[name] = column
    return out


class Minutes:
    """Sums of sealed panes, by the minute; a day of them is kept. Whole hours are added up once."""

    def __init__(self) -> None:
        self._minutes: dict[int, Rows] = {}
        self._hours: dict[int, Rows] = {}

    def seal(self, pane: int, sums: Rows) -> None:
        """Takes a pane's final sums."""
        if len(sums):
            minute = pane // MINUTE
            self._hours.pop(minute // 60, None)
            self._minutes[minute] = add([self._minutes.get(minute, NOTHING), sums])

    def between(self, first: int, after: int) -> list[Rows]:
        """The parts that make up the minutes [first, after): add them."""
        parts, minute = [], first
        while minute < after:
            if minute % 60 == 0 and minute + 60 <= after:
                parts.append(self._hour(minute // 60))
                minute += 60
            else:
                parts.append(self._minutes.get(minute, NOTHING))
                minute += 1
        return parts

    def _hour(self, hour: int) -> Rows:
        if hour not in self._hours:
            self._hours[hour] = add(self._minutes.get(minute, NOTHING) for minute in range(60 * hour, 60 * hour + 60))
        return self._hours[hour]

    def forget(self, before: int) -> None:
        """Drops the minutes before the one given."""
        for minute in [m for m in self._minutes if m < before]:
            del self._minutes[minute]
        for hour in [h for h in self._hours if 60 * h < before]:
            del self._hours[hour]

    def held(self) -> Sequence[tuple[int, Rows]]:
        """Every minute that is kept, oldest first."""
        return sorted(self._minutes.items(), key=lambda item: item[0])
