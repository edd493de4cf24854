"""Facts: what is known of the mentions of one partition, joined by union.

A *row* is one version of one mention. An *identity* is (post, brand, event time): its *winner* is the row with the
highest `rev`, then the earliest arrival, then the earlier place in the log; of one record (a replay may score a text a
little differently, or by another list of campaign tags) what was read before its pane closed, then the smaller score,
then the one that is prompted. A *floor* says which `rev` of a post still counts: an edit sets it to its own, a removal
above all. All floors of a post are kept, so that a late removal cannot hide an edit that came in time. Lateness belongs
to the record: a floor touches a row only if it arrived before the end of the row's pane + grace, and no more than one
grace before the row.

    row's arrival - grace            row's arrival          pane's end         pane's end + grace
    ──────┤├───────────────────────────────┼─────────────────────┼──────────────────────┤├───────
          [ a floor that arrives here touches the row                                   )

Union is idempotent, commutative and associative: replays, duplicates, zombies and reordering change nothing.
Knows nothing of votes, windows, Kafka or clocks.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.frame import ABSTAINED, FLOOR, PROMPTED, ROW
from streams.heart.pane import NOTHING, Rows, Sums, end_ms, joined, some_of

COUNTED = 1  # the winner of its identity, at or above its floor
VOTED = 2  # it carries its author's vote (see `ballot`)
COPY = 4  # its text has had its vote before, in this hour
AFTER = 8  # it was read after its pane had closed; of a record that was on time, only replays are

# A row as it is kept: 71 bytes, no Python object. `value`: what its vote is worth, if it has one.
FACT = np.dtype([*((name, ROW[name]) for name in ROW.names or ()), ("state", "u1"), ("value", "i2")])

Bools = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


class Floors:
    """The floors of all posts, by post; a set."""

    def __init__(self) -> None:
        self._held: Rows = np.zeros(0, FLOOR)

    def __len__(self) -> int:
        return len(self._held)

    def add(self, more: Rows) -> Hashes:
        """Takes floors in; returns the posts (sorted) of those that were not known."""
        if not len(more):
            return np.zeros(0, np.uint64)
        both = joined([self._held, more], FLOOR)
        fresh = np.arange(len(both)) >= len(self._held)
        order = np.lexsort((fresh, both["arrival"], both["rev"], both["id"]))
        both, fresh = some_of(both, order), fresh[order]
        first = np.r_[True, both[1:] != both[:-1]]
        self._held = some_of(both, first)
        return np.unique(both["id"][first & fresh])

    def lowest(self, posts: Hashes, since_ms: npt.NDArray[np.int64], before_ms: int) -> npt.NDArray[np.uint32]:
        """For each post the lowest rev that counts, by floors that arrived in [since_ms, before_ms); 0 without one.

        `posts`, `since_ms`: (n); `before_ms` is one for all.
        """
        lowest = np.zeros(len(posts), np.uint32)
        held = some_of(self._held, self._held["arrival"] < before_ms)
        if len(held):
            begin = np.searchsorted(held["id"], posts, side="left")
            at = np.searchsorted(held["id"], posts, side="right") - 1
            # A post's floors are sorted by rev: from its highest down, until one is not too old.
            while len(asking := np.flatnonzero((at >= begin) & (lowest == 0))):
                floor = some_of(held, at[asking])
                lowest[asking] = np.where(floor["arrival"] >= since_ms[asking], floor["rev"], 0)
                at[asking] -= 1
        return lowest

    def forget(self, arrived_before_ms: int) -> None:
        """Drops the floors that can touch nothing any more."""
        if len(self._held):
            self._held = some_of(self._held, self._held["arrival"] >= arrived_before_ms)


BySource = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # brand * 256 + source, rising, and how many


class Verdicts(NamedTuple):
    """What became of the rows taken into one slice. `seen`: the rows that became visible (dtype FACT)."""

    new: int
    duplicate: int
    superseded: int
    removed: int
    seen: Rows


class Slice:
    """All facts of one pane of one partition, over all its brands."""

    __slots__ = ("_by_source", "fresh", "pane", "rows", "sums")

    def __init__(self, pane: int) -> None:
        self.pane = pane
        self.rows: Rows = np.zeros(0, FACT)  # settled: sorted by post, one row per identity and rev
        self.fresh: list[Rows] = []  # read since
        self.sums: Sums = NOTHING
        self._by_source: BySource | None = None

    def brands_touched(self, floored: Hashes) -> npt.NDArray[np.uint32]:
        """The brands whose figures the fresh rows, or the floors of these posts (sorted), may move."""
        if not (self.fresh or len(floored)):  # of an hour's slices all but a few, once a second
            return _NO_BRANDS
        touched = [part["brand"] for part in self.fresh]
        if len(floored) and len(self.rows):
            touched.append(self.rows["brand"][_within(self.rows["id"], floored)])
        return np.unique(np.concatenate(touched)) if touched else _NO_BRANDS

    def resolve(self, floors: Floors, grace_ms: int) -> Verdicts:
        """Joins what is fresh with what is known, finds the winners and asks the floors."""
        rows = joined([self.rows, *self.fresh], FACT)
        order, winner, version = _joined(rows)
        fresh = (np.arange(len(rows)) >= len(self.rows))[order]
        rows = some_of(rows, order)
        lowest = floors.lowest(rows["id"], rows["arrival"] - grace_ms, end_ms(self.pane) + grace_ms)
        counted = winner & (rows["rev"] >= lowest)
        rows["state"] = np.where(counted, rows["state"] | np.uint8(COUNTED), rows["state"] & np.uint8(AFTER))
        verdicts = _verdicts(rows, fresh, winner, version)
        self.rows, self.fresh = some_of(rows, version), []
        return verdicts

    def counted(self) -> Rows:
        """The winners at or above their floors."""
        return some_of(self.rows, self.rows["state"] & COUNTED != 0)

    def summed(self, sums: Sums) -> None:
        """These are its figures now."""
        self.sums, self._by_source = sums, None

    def by_source(self) -> BySource:
        """Of each brand, how many scored mentions each source has. Counted when it is asked: seldom more than once."""
        if self._by_source is None:
            rows = self.counted()
            keys = rows["brand"].astype(np.int64) * 256 + rows["source"]
            self._by_source = np.unique(keys[is_scored(rows)], return_counts=True)
        return self._by_source

    def known(self, floors: Floors, before_ms: int, grace_ms: int) -> Rows:
        """What counted by the rows and floors that had arrived before a time. Not before what is fresh is resolved.

        Before the pane's end + delay this is what was on time: whatever comes later corrects figures and never this.
        """
        rows = some_of(self.rows, self.rows["arrival"] < before_ms)
        rows = some_of(rows, _starts(rows, "id", "brand", "event"))  # of an identity the winner stands first
        before_ms = min(before_ms, end_ms(self.pane) + grace_ms)
        return some_of(rows, rows["rev"] >= floors.lowest(rows["id"], rows["arrival"] - grace_ms, before_ms))

    def nbytes(self) -> int:
        """The memory that the facts take."""
        return int(self.rows.nbytes + self.sums.nbytes)


_NONE = np.zeros(0, np.int64)
_NO_BRANDS = np.zeros(0, np.uint32)


def _joined(rows: Rows) -> tuple[npt.NDArray[np.int64], Bools, Bools]:
    """The order in which rows are kept, and in it: which begin an identity (its winner), which a version of one.

    By post; where a post has several rows, by brand and event, the winner first.
    """
    ids = rows["id"].copy()
    order = np.argsort(ids, kind="stable")
    winner = np.ones(len(rows), np.bool_)
    version = winner.copy()
    same = ids[order][1:] == ids[order][:-1]
    shared = np.flatnonzero(np.r_[False, same] | np.r_[same, False]) if same.any() else _NONE
    if len(shared):  # most posts have one row: only the others need the whole comparison
        at = order[shared]
        some = some_of(rows, at)
        after = some["state"] & AFTER
        inner = np.lexsort((~some["kind"], some["label"], some["score"], after, some["offset"], some["partition"],
                            some["arrival"], ~some["rev"], some["event"], some["brand"], some["id"]))
        order[shared] = at[inner]
        some = some_of(some, inner)
        winner[shared] = _starts(some, "id", "brand", "event")
        version[shared] = winner[shared] | _starts(some, "rev")
    return order, winner, version


def _verdicts(rows: Rows, fresh: Bools, winner: Bools, version: Bools) -> Verdicts:
    """Counts each fresh row once. A version or identity is known if any older row of it was there."""
    if version.all() and winner.all():
        seen = fresh & (rows["state"] & COUNTED != 0)
        new = int(np.count_nonzero(seen))
        return Verdicts(new, 0, 0, int(np.count_nonzero(fresh)) - new, some_of(rows, seen))
    starts = np.flatnonzero(version)
    known_version = np.logical_or.reduceat(~fresh, starts)
    news = int(np.count_nonzero(~known_version))
    first = ~known_version
    wins, counts = winner[starts], rows["state"][starts] & COUNTED != 0
    identities = np.flatnonzero(winner)
    known = np.repeat(np.logical_or.reduceat(~fresh, identities), np.diff(np.r_[identities, len(rows)]))[starts]
    return Verdicts(
        new=int(np.count_nonzero(first & wins & counts)),
        duplicate=int(np.count_nonzero(fresh)) - news,
        superseded=int(np.count_nonzero(first & ~wins)),
        removed=int(np.count_nonzero(first & wins & ~counts)),
        seen=some_of(rows, starts[wins & counts & ~known]),
    )


def _starts(rows: Rows, *names: str) -> Bools:
    """Where a row differs from the one before in any of these."""
    starts = np.zeros(len(rows), np.bool_)
    starts[:1] = True
    for name in names:
        starts[1:] |= rows[name][1:] != rows[name][:-1]
    return starts


def _within(values: Hashes, few: Hashes) -> npt.NDArray[np.int64]:
    """The places in `values` (sorted) that hold one of `few`."""
    low, high = np.searchsorted(values, few, "left"), np.searchsorted(values, few, "right")
    hit = low < high
    return np.concatenate([np.arange(a, b) for a, b in zip(low[hit], high[hit], strict=True)] or [_NONE])


def is_scored(rows: Rows) -> Bools:
    """Which rows have a mood: all but the abstentions."""
    return np.asarray(rows["label"] != ABSTAINED)


def is_prompted(rows: Rows) -> Bools:
    """Which rows are mentions that the brand's own hand is in."""
    return np.asarray(rows["kind"] & PROMPTED != 0)
