"""Panes: slices of event time, and the sums that they and all longer spans are made of.

A pane is 10 s, named by its number: event time div 10 s. Spans are half-open, so neighbours touch and never overlap.
Sums are whole numbers (a score counts in 1/10,000), so they add up exactly, in any order; nothing is ever subtracted:
to forget a pane, leave it out.
Knows nothing of posts, votes, watermarks or clocks.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PANE_MS = 10_000
MINUTE = 6  # panes
DAY_PANES = 8_640
UNIT = 10_000  # a score of 1.0

Rows = npt.NDArray[np.void]  # a structured array; its dtype stands beside its name

# The sums of one brand in one span of time: the plain counts, and the votes (see `ballot`). `copies` are scored
# mentions whose text has had its vote before, in this hour; `score` and `vote` are in 1/10,000. `prompted` are mentions
# that the brand's own hand is in; the votes of all others stand once more behind it.
FIELDS = ("negative", "neutral", "positive", "abstained", "score", "copies",
          "negative_votes", "neutral_votes", "positive_votes", "vote", "vote_square",
          "prompted", "unprompted_votes", "unprompted_vote", "unprompted_vote_square")


class Sums(NamedTuple):
    """The sums of some brands in one span.

    `brand` (n): each once, rising; `values` (n, fields), in FIELDS' order.
    """

    brand: npt.NDArray[np.uint32]
    values: npt.NDArray[np.int32] | npt.NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """The memory taken."""
        return int(self.brand.nbytes + self.values.nbytes)


NOTHING = Sums(np.zeros(0, np.uint32), np.zeros((0, len(FIELDS)), np.int64))


def pane_of(event_ms: int) -> int:
    """The number of the pane that holds a time.

    >>> pane_of(0), pane_of(9_999), pane_of(10_000), pane_of(-1)
    (0, 0, 1, -1)
    """
    return event_ms // PANE_MS


def end_ms(pane: int) -> int:
    """The end of a pane, which it does not hold."""
    return (pane + 1) * PANE_MS


def add(parts: Iterable[Sums]) -> Sums:
    """The sum of sums. Commutative, associative, `NOTHING` its zero."""
    kept = [part for part in parts if len(part.brand)]
    if len(kept) < 2:
        return kept[0] if kept else NOTHING
    return grouped(np.concatenate([part.brand for part in kept]), np.concatenate([part.values for part in kept]))


def joined(parts: Sequence[Rows], dtype: np.dtype[np.void]) -> Rows:
    """Structured arrays of one dtype, one after the other.

    As plain bytes: numpy otherwise compares the dtypes field by field, in Python, at every call.
    """
    plain = np.dtype((np.void, dtype.itemsize))
    if not parts:
        return np.zeros(0, dtype)
    return np.concatenate([np.ascontiguousarray(part).view(plain) for part in parts]).view(dtype)


def some_of(rows: Rows, which: npt.NDArray[Any]) -> Rows:
    """The rows at these places, or those for which it is true.

    Copied as plain bytes: numpy's own indexing copies a structured array field by field, thirty times as slow.
    """
    return rows.compress(which) if which.dtype == np.bool_ else rows.take(which)


def runs(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where runs of equal values begin.

    >>> runs(np.array([7, 7, 8])).tolist()
    [0, 2]
    """
    return np.concatenate([_FIRST[:len(values)], np.flatnonzero(values[1:] != values[:-1]) + 1])


_FIRST = np.zeros(1, np.int64)


def grouped(brand: npt.NDArray[np.uint32], values: npt.NDArray[np.integer[Any]]) -> Sums:
    """Sums of rows: the rows of one brand, wherever they stand, become one."""
    if not len(brand):
        return NOTHING
    order = np.argsort(brand, kind="stable")
    brand = brand[order]
    starts = runs(brand)
    total = np.add.reduceat(values.take(order, axis=0).astype(np.int64, copy=False), starts, axis=0)
    small = np.abs(total).max() < 2**31  # as most panes are: half the memory
    return Sums(brand[starts], total.astype(np.int32) if small else total)


def dense(parts: Iterable[Sums], brands: int) -> npt.NDArray[np.int64]:
    """The sum of sums as one array (brands, fields), indexed by brand."""
    out = np.zeros((brands, len(FIELDS)), np.int64)
    for part in parts:
        out[part.brand] += part.values  # each brand stands once in a part
    return out


class Minutes:
    """Sums of sealed panes, by the minute; a day of them is kept. Whole hours are added up once."""

    def __init__(self) -> None:
        self._minutes: dict[int, Sums] = {}
        self._hours: dict[int, Sums] = {}

    def seal(self, pane: int, sums: Sums) -> None:
        """Takes a pane's final sums."""
        if len(sums.brand):
            minute = pane // MINUTE
            self._hours.pop(minute // 60, None)
            self._minutes[minute] = add([self._minutes.get(minute, NOTHING), sums])

    def between(self, first: int, after: int) -> list[Sums]:
        """The parts that make up the minutes [first, after): add them."""
        parts: list[Sums] = []
        minute = first
        while minute < after:
            if minute % 60 == 0 and minute + 60 <= after:
                parts.append(self._hour(minute // 60))
                minute += 60
            else:
                parts.append(self._minutes.get(minute, NOTHING))
                minute += 1
        return parts

    def _hour(self, hour: int) -> Sums:
        if hour not in self._hours:
            self._hours[hour] = add(self._minutes.get(minute, NOTHING) for minute in range(60 * hour, 60 * hour + 60))
        return self._hours[hour]

    def forget(self, before: int) -> None:
        """Drops the minutes before the one given."""
        for minute in [m for m in self._minutes if m < before]:
            del self._minutes[minute]
        for hour in [h for h in self._hours if 60 * h < before]:
            del self._hours[hour]

    def restore(self, minutes: Iterable[tuple[int, Sums]]) -> None:
        """Takes minutes that another one held."""
        self._minutes.update(minutes)

    def held(self) -> Sequence[tuple[int, Sums]]:
        """Every minute that is kept, oldest first."""
        return sorted(self._minutes.items(), key=lambda item: item[0])
