"""Tracker: the pulse worker's pure half. Frames of one mentions partition in, figures out.

    apply(frames)    takes facts, marks and ticks in
    settle()         joins them, finds who votes; then, by the watermark: close, seal, forget

    pane          end        end + delay                end + grace
     ├─────────────┤──────────────┼──────────────────────────┼──────────────────▶ watermark
       rows come in · figures show    closed: its votes and     sealed: only sums are kept
                                      health are settled
    readings()       what the windows say now
    standing()       how every brand stands: its open incidents, and the smallest swing that could be seen
    block()          what is sealed, for whoever comes after; `Tracker.restore` goes on from it

The state is a set of facts, so any order, any repetition and any restart that reads the log again give the same
figures, and the same steps of the same swings: `watch` is told of each minute as its last pane closes, of what was on
time and nothing else. Panes inside the grace keep their rows; sealed ones only their sums.
Knows nothing of Kafka, clocks, metrics, or how a swing is found.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streams.heart.ballot import HOUR_MS, Outcome, Voted, distinct_authors, keys_of, sums_of, tally
from streams.heart.block import BLOCK_MS, SPAN, Block, pack_sums, unpack_sums
from streams.heart.errors import BrokenPromise
from streams.heart.explain import MOST, Evidence, Voice
from streams.heart.facts import AFTER, COPY, COUNTED, FACT, VOTED, Floors, Slice, is_scored
from streams.heart.frame import FLOOR, LABELS, ROW, Frame, unpack
from streams.heart.health import UsualSources, Wellness
from streams.heart.incident import Standing, Swing
from streams.heart.minute import MINUTE_MS, minute_of
from streams.heart.names import Index
from streams.heart.packed import pack as packed
from streams.heart.packed import unpack as unpacked
from streams.heart.pane import (
    DAY_PANES,
    MINUTE,
    NOTHING,
    PANE_MS,
    UNIT,
    Minutes,
    Rows,
    Sums,
    add,
    dense,
    end_ms,
    joined,
    some_of,
)
from streams.heart.settled import Settled, Settling
from streams.heart.trail import NEVER, Point, Trail
from streams.heart.watch import Names, Watch, Window
from streams.heart.watermark import Watermark
from streams.heart.window import WINDOWS, Reading, reading

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]
_END_OF_TIME_MS = 1 << 62
AGAIN_MS = 3_600_000  # steps of the last hour may have been made and not delivered when a worker ended: told again


class Times(NamedTuple):
    """What the records' times decide, ms. A pane closes `delay_ms` after its end: its votes and its sources' health are
    settled; it seals `grace_ms` after it: nothing can change it any more. No row is dated more than `early_ms` ahead.
    """

    delay_ms: int = 30_000
    grace_ms: int = 3_600_000
    early_ms: int = 60_000

    @property
    def floor_ms(self) -> int:
        """How long a floor is kept: the last row that it touches arrives one grace after it (a removal may come before
        its post), is dated `early_ms` ahead, and its pane seals one grace after its end.
        """
        return 2 * self.grace_ms + self.early_ms + PANE_MS


class Tracker:
    """The state of one mentions partition: a set of facts, and the figures that follow from it."""

    def __init__(self, partition: int, partitions: int, times: Times | None = None) -> None:
        self.partition = partition
        self._times = times or Times()
        self._watermark = Watermark(partitions)
        self._wellness = Wellness()
        self._brands, self._sources, self._langs, self._models, self._rules = (Index() for _ in range(5))
        self._floors = Floors()
        self._new_floors: list[Rows] = []
        self._slices: dict[int, Slice] = {}
        self._sealed_reads = 0
        self._whole: dict[int, Sums] = {}  # sums of whole minutes that are not sealed, while nothing in them changes
        self._minutes = Minutes()
        self._voted = Voted()
        self._usual = UsualSources()
        self._watch = Watch(Names(self._brands.names, self._sources.names, self._langs.names))
        self._voted_on_time = Voted()
        self._minute: int | None = None  # the first that the watch was not told of
        self._closed_to: int | None = None  # panes before it are closed: their votes stand in self._voted
        self._sealed_to: int | None = None  # panes before it are sealed: no rows, only sums
        self._judged_from: int | None = None  # the first pane whose sources' health is judged
        self._judged_to: int | None = None
        self._shown: int | None = None  # the pane that the windows ended with when last read
        self._position = 0  # the offset in the log that comes next
        self._trail = Trail()
        self._told: list[Swing] = []  # steps that may not have been delivered yet
        self._is_behind = False  # it goes on from a block, and reads what was said since
        self._block: int | None = None  # the slot of watermark in which the last block was made

    # What time it is.

    @property
    def watermark_ms(self) -> int | None:
        """How far time has come, by the log alone; None before every posts partition has been heard of."""
        return self._watermark.now_ms

    @property
    def highest_mark_ms(self) -> int | None:
        """The present: windows end with the pane that holds it."""
        return self._watermark.highest_ms

    @property
    def marks(self) -> dict[int, int]:
        """Posts partition -> its mark."""
        return dict(self._watermark.marks)

    # Taking in.

    @property
    def position(self) -> int:
        """The offset that comes next: of what stands before it, no more than rows and floors are still missing."""
        return self._position

    def apply(self, frames: Iterable[bytes], first: int | None = None) -> None:
        """Takes frames in, one after the other; `first`: the offset of the first, by default the one that comes next.
        Figures move at the next `settle`.

        Frames from before `position` are read once more, after `restore`: their facts are taken in, what else they say
        is known. Raises `BrokenPromise` for bytes that are no frame, with their coordinates.
        """
        parts, closed = [], []
        if first is not None:  # where a log begins, nothing stands before
            self._position = max(self._position, first)
        for offset, data in enumerate(frames, self._position if first is None else first):
            try:
                frame = unpack(data)
            except BrokenPromise as error:
                raise BrokenPromise(f"mentions, partition {self.partition}, offset {offset}: {error}") from None
            sealed_to, closed_to = self._said(frame, offset)
            if len(frame.floors):
                self._new_floors.append(frame.floors)
            if len(frame.rows):
                parts.append(self._unsealed(frame, sealed_to))
                closed.append(NEVER if closed_to is None else closed_to)
        if parts:
            rows = self._renumbered(parts)
            # The log says so too: of a record that was on time, what was told of it stands.
            is_after = rows["event"] // PANE_MS < np.repeat(closed, [len(part.rows) for part in parts])
            rows["state"] = np.where(is_after, np.uint8(AFTER), np.uint8(0))
            self._file(rows)

    def _said(self, frame: Frame, offset: int) -> tuple[int | None, int | None]:
        """Takes in what a frame says of time; returns up to which panes were sealed and closed before.

        Before its own marks, frame by frame: whether a replayed row still counts must follow from the log alone, not
        from how many frames happen to be read at once.
        """
        if offset < self._position:
            return self._sealed_to, self._trail.closed_at(offset)
        sealed_to = self._watermark.passed(self._times.grace_ms)
        if sealed_to is not None and self._sealed_to is not None:  # sealed is sealed, also by a shorter grace of before
            sealed_to = max(sealed_to, self._sealed_to)
        closed_to = self._watermark.passed(self._times.delay_ms)
        self._trail.note(offset, _latest_ms(frame), closed_to)
        self._position = offset + 1
        self._watermark.update(frame.marks)
        self._wellness.update(frame.health)
        if self._judged_from is None:  # from when the log, not this reader, knew what time it was
            self._judged_from = self._watermark.passed(self._times.delay_ms)
        return sealed_to, closed_to

    def _unsealed(self, frame: Frame, sealed_to: int | None) -> Frame:
        """The frame without the rows of sealed panes."""
        if sealed_to is None:
            return frame
        kept = frame.rows["event"] >= sealed_to * PANE_MS
        self._sealed_reads += int(len(kept) - np.count_nonzero(kept))
        return frame if kept.all() else msgspec.structs.replace(frame, rows=some_of(frame.rows, kept))

    def _renumbered(self, frames: Sequence[Frame]) -> Rows:
        """The rows of some frames under this tracker's own numbers (dtype FACT)."""
        theirs = joined([frame.rows for frame in frames], ROW)
        rows = np.zeros(len(theirs), FACT)
        for name in ROW.names or ():
            rows[name] = theirs[name]
        # All frames at once: in recovery they are many, and of a dozen rows each.
        lengths = [len(frame.rows) for frame in frames]
        for name, index in (("brand", self._brands), ("source", self._sources), ("lang", self._langs),
                            ("model", self._models), ("rule", self._rules)):
            lists = [getattr(frame.names, name) for frame in frames]
            begins = np.array([0, *accumulate(map(len, lists))][:-1])
            numbers = index.numbers(list(chain.from_iterable(lists)))
            rows[name] = numbers[theirs[name] + np.repeat(begins, lengths)]
        return rows

    def _file(self, rows: Rows) -> None:
        if not len(rows):
            return
        order = np.argsort(rows["event"], kind="stable")
        rows = some_of(rows, order)
        panes = rows["event"] // PANE_MS
        starts = np.flatnonzero(np.diff(panes, prepend=panes[0] - 1))
        for part in np.split(rows, starts[1:]):
            pane = int(part["event"][0]) // PANE_MS
            self._slices.setdefault(pane, Slice(pane)).fresh.append(part)

    # Settling.

    def settle(self) -> Settled:
        """Joins what was taken in, finds the votes, then closes, seals and forgets as far as the watermark allows."""
        floors = joined(self._new_floors, FLOOR)
        self._new_floors = []
        floored = self._floors.add(floors)
        touched = {pane: brands for pane, one in self._slices.items()
                   if (one.fresh or len(floored)) and len(brands := one.brands_touched(floored))}
        settled = Settling(self._brands.names, self._sources.names)
        settled.touched(touched.values())
        old = self._revoked(touched)
        for pane in sorted(touched):
            settled.resolved(self._slices[pane].resolve(self._floors, self._times.grace_ms))
        self._revote(touched, old)
        closed, swings = self._close()
        settled.closed(closed)
        settled.told(swings)
        self._remember(swings)
        self._seal()
        sealed, self._sealed_reads = self._sealed_reads, 0
        return settled.done(sealed, floors, self._note_present())

    def _revoked(self, touched: dict[int, Numbers]) -> Numbers:
        """Brands touched in closed panes lose all votes there, to vote anew: a vote may free or bar later ones."""
        brands = [brands for pane, brands in touched.items() if self._is_closed(pane)]
        if not brands:
            return np.zeros(0, np.uint32)
        again = np.unique(np.concatenate(brands))
        self._voted.take_back(keys_of(self._picked(self._closed(), VOTED, again).rows()))
        return again

    def _is_closed(self, pane: int) -> bool:
        return self._closed_to is not None and pane < self._closed_to

    def _closed(self) -> list[Slice]:
        return [self._slices[pane] for pane in sorted(self._slices) if self._is_closed(pane)]

    def _revote(self, touched: dict[int, Numbers], again: Numbers) -> None:
        """Votes in closed panes for the brands that lost them, then in all open panes."""
        if not touched:
            return
        if len(again):
            closed = self._closed()
            self._vote(self._picked(closed, COUNTED, again), set(touched))
            self._voted.add(keys_of(self._picked(closed, VOTED, again).rows()))
        # In open panes only what follows the first change votes anew.
        begin = min(touched)
        still_open = [self._slices[pane] for pane in sorted(self._slices) if not self._is_closed(pane)]
        before = Voted()
        before.add(keys_of(self._picked([one for one in still_open if one.pane < begin], VOTED, None).rows()))
        after = [one for one in still_open if one.pane >= begin]
        self._vote(self._picked(after, COUNTED, None), set(touched), before)

    @staticmethod
    def _picked(slices: list[Slice], state: int, brands: Numbers | None) -> "_Picked":
        """The rows of these slices that are in a state, of some brands or of all."""
        lengths = [len(one.rows) for one in slices]
        held = np.concatenate([one.rows["state"] for one in slices]) if slices else np.zeros(0, np.uint8)
        hit = held & state != 0
        if brands is not None and slices:
            among = np.zeros(int(brands.max(initial=0)) + 1, np.bool_)
            among[brands] = True
            of = np.concatenate([one.rows["brand"] for one in slices])
            hit &= among[np.minimum(of, len(among) - 1)] & (of < len(among))
        places = np.flatnonzero(hit)
        ends = [0, *accumulate(lengths)]
        cuts = np.searchsorted(places, ends).tolist()
        return _Picked(slices, [places[a:b] - end for (a, b), end in zip(pairwise(cuts), ends, strict=False)])

    def _vote(self, picked: "_Picked", dirty: set[int], *before: Voted) -> None:
        """Tallies these rows together; a pane whose rows or votes changed gets new sums."""
        outcome = tally(picked.rows(), self._voted, *before)
        done = 0
        for one, at in zip(picked.slices, picked.places, strict=True):
            part = slice(done, done := done + len(at))
            changed = len(at) and _mark(one.rows, at, outcome.of(part))
            if changed or one.pane in dirty:
                self._whole.pop(one.pane // MINUTE, None)
                _sum_up(one)

    def _close(self) -> tuple[Sums, list[Swing]]:
        """Closes panes: their votes are remembered apart, their sources' health is judged, the watch is told."""
        after = self._watermark.passed(self._times.delay_ms)
        if after is None:
            return NOTHING, []
        first = min(self._slices, default=after) if self._closed_to is None else self._closed_to
        if self._minute is None:
            self._minute = min(first, after) // MINUTE
        swings: list[Swing] = []
        judged = after if self._judged_from is None else self._judged_from
        judged = judged if self._judged_to is None else self._judged_to
        for pane in range(judged, after):
            self._wellness.close(pane, self._times.delay_ms)
            swings += self._tell_until(pane + 1)
        swings += self._tell_until(after)
        self._judged_to = after
        closing = [one for pane, one in sorted(self._slices.items()) if first <= pane < after]
        if closing:
            self._voted.add(keys_of(self._picked(closing, VOTED, None).rows()))
        self._closed_to = after if self._closed_to is None else max(after, self._closed_to)
        return add(one.sums for one in closing), swings

    def _tell_until(self, after: int) -> list[Swing]:
        """Tells the watch of every minute whose last pane lies before the one given."""
        assert self._minute is not None
        swings: list[Swing] = []
        while self._minute < after // MINUTE:
            if self._watch.is_idle(self._minute):
                spoken = min((pane for pane in self._slices if pane >= self._minute * MINUTE), default=after)
                self._minute = min(spoken, after) // MINUTE
                self._watch.skip(self._minute)
            if self._minute < after // MINUTE:
                swings += self._tell(self._minute)
                self._minute += 1
        return swings

    def _tell(self, number: int) -> list[Swing]:
        panes = range(number * MINUTE, (number + 1) * MINUTE)
        held = _Held(self._slices, self._floors, self._times, number)
        minute = minute_of(number, joined([held.on_time(pane) for pane in panes], FACT), self._voted_on_time)
        self._voted_on_time.forget(panes.stop)
        # Numbers for names that no row has borne yet: a brand that comes later may be theirs.
        sick = self._sources.numbers(sorted(self._wellness.sick(panes.start, panes.stop)))
        return self._watch.step(minute, frozenset(sick.tolist()), held)

    def _seal(self) -> None:
        """Seals panes, then forgets what no pane can need any more; in this order within one step of the watermark."""
        now, after = self._watermark.now_ms, self._watermark.passed(self._times.grace_ms)
        if now is None or after is None or (self._sealed_to is not None and after <= self._sealed_to):
            return
        for pane in sorted(pane for pane in self._slices if pane < after):
            one = self._slices.pop(pane)
            self._whole.pop(pane // MINUTE, None)
            self._minutes.seal(pane, one.sums)
            self._usual.seal(pane, one.by_source())
        self._sealed_to = after
        self._floors.forget(now - self._times.floor_ms)
        self._voted.forget(after)
        self._minutes.forget((after - DAY_PANES) // MINUTE)

    def _remember(self, swings: Sequence[Swing]) -> None:
        self._told += swings
        if self._told and not self._is_behind and (self._told[0].at_ms < self._told_since_ms or swings):
            still_open = {swing.id for swing in self.open_swings()}
            self._told = [step for step in self._told if step.id in still_open or step.at_ms >= self._told_since_ms]

    @property
    def _told_since_ms(self) -> int:
        return (self._watermark.now_ms or 0) - AGAIN_MS

    def _note_present(self) -> bool:
        """Whether the windows have moved on since the last time."""
        present = self.highest_mark_ms
        pane = None if present is None else present // PANE_MS
        moved, self._shown = pane != self._shown, pane
        return moved

    # Showing.

    def between(self, first: int, after: int) -> Sums:
        """The sums of the panes [first, after), by brand; beyond the grace by whole minutes."""
        return add(self._parts(first, after))

    def _parts(self, first: int, after: int) -> list[Sums]:
        """The sums that make up [first, after): whole minutes where they can be had, panes at the ends."""
        parts: list[Sums] = []
        sealed_to = -(2**62) if self._sealed_to is None else self._sealed_to
        if first < sealed_to:
            parts += self._minutes.between(-(-first // MINUTE), (min(after, sealed_to) - 1) // MINUTE + 1)
            first = sealed_to
        for minute in sorted({pane // MINUTE for pane in self._slices if first <= pane < after}):
            if first <= minute * MINUTE and minute * MINUTE + MINUTE <= after:
                if minute not in self._whole:
                    self._whole[minute] = add(self._panes(minute * MINUTE, minute * MINUTE + MINUTE))
                parts.append(self._whole[minute])
            else:
                parts += self._panes(max(first, minute * MINUTE), min(after, minute * MINUTE + MINUTE))
        return parts

    def _panes(self, first: int, after: int) -> list[Sums]:
        return [self._slices[pane].sums for pane in range(first, after) if pane in self._slices]

    def brand_number(self, brand: str) -> int:
        """The number of a brand in the sums of this tracker."""
        return self._brands.number(brand)

    def readings(self, brands: Iterable[str] | None = None) -> list[Reading]:
        """All windows of the brands given, or of all brands with a mention in the last day."""
        present = self.highest_mark_ms
        if present is None:
            return []
        after = present // PANE_MS + 1
        sums = {window: dense(self._parts(after - panes, after), len(self._brands.names))
                for window, panes in WINDOWS.items()}
        asked = np.flatnonzero(sums["24h"][:, :4].any(axis=1)) if brands is None else self._brands.known(brands)
        authors = {window: self._authors(after - panes, after, asked)
                   for window, panes in WINDOWS.items() if panes <= WINDOWS["1h"]}
        complete = self._completeness(asked, after)
        return [
            reading(self._brands.names[brand], window, sums[window][brand].tolist(), sums["24h"][brand].tolist(),
                    (int(authors[window][brand]) if window in authors else None, complete[window][brand]))
            for brand in asked.tolist() for window in WINDOWS
        ]

    # Swings.

    def standing(self) -> dict[str, Standing]:
        """How every brand stands that was ever mentioned in time."""
        return self._watch.standing()

    def open_swings(self) -> tuple[Swing, ...]:
        """The last step of every incident that goes on."""
        return self._watch.open()

    def told(self) -> tuple[Swing, ...]:
        """The steps of what is still open and those of the last hour, in order: whoever made them first may have ended
        before they were delivered. After `restore`, until `caught_up`, all steps since the block as well.
        """
        return tuple(self._told)

    def caught_up(self) -> None:
        """All that was said since the block is read, and its steps are handed on."""
        self._is_behind = False
        self._remember(())

    def evidence(self, swing: Swing) -> Evidence:
        """Which posts to read to explain a swing: of those that count now, and that have a vote."""
        brands = self._brands.known([swing.brand]).astype(np.uint32)
        picked = self._picked([self._slices[pane] for pane in sorted(self._slices)], VOTED, brands)
        rows = picked.rows() if len(brands) else np.zeros(0, FACT)
        rows = some_of(rows, rows["event"] < swing.at_ms)
        # A removal that came too late for any figure is a removal all the same: nobody quotes the post.
        lowest = self._floors.lowest(rows["id"], rows["arrival"] - self._times.grace_ms, _END_OF_TIME_MS)
        rows = some_of(rows, rows["rev"] >= lowest)
        label = LABELS.index("negative" if swing.direction == "down" else "positive")
        since = rows["event"] >= swing.onset_ms
        polar = rows["label"] == label
        lately = ~since & (rows["event"] >= swing.onset_ms - HOUR_MS)
        share = int((since & polar).sum()) / max(int(since.sum()), 1)
        return Evidence(_voices(some_of(rows, since & polar)), _voices(some_of(rows, lately & polar)), share)

    # Rest and return.

    @property
    def is_block_due(self) -> bool:
        """Whether ten minutes of watermark have gone by since the last block. Every partition has its own minute for
        it, so that not all are made at once.
        """
        return self._sealed_to is not None and self._slot != self._block

    @property
    def _slot(self) -> int | None:
        now_ms = self._watermark.now_ms
        shift = self.partition * BLOCK_MS // max(self._watermark.partitions, 1)
        return None if now_ms is None else (now_ms - shift) // BLOCK_MS

    def block(self) -> Block:
        """What is sealed, exact at `position`. Only when all that was taken in is settled, and time is known."""
        now_ms, sealed_to = self._watermark.now_ms, self._sealed_to
        if now_ms is None or sealed_to is None or self._new_floors or any(one.fresh for one in self._slices.values()):
            raise BrokenPromise("a block of what is not settled")
        self._block = self._slot
        # Floors matter longest; every row of a pane that is not sealed arrived later than the oldest of them.
        resume = self._trail.since(now_ms - self._times.floor_ms, self._position)
        self._trail.forget(resume)
        whole = sealed_to // MINUTE // SPAN * SPAN  # the first minute of the span that is not sealed yet
        held = self._minutes.held()
        minutes = tuple((minute, sums) for minute, sums in held if minute < whole)
        state = packed(self._state([one for one in held if one[0] >= whole]))
        return Block(self.partition, self._watermark.partitions, self._position, resume, now_ms, state, minutes)

    def _state(self, minutes: Iterable[tuple[int, Sums]]) -> "_State":
        # Votes in panes that are not sealed are cast anew, from the rows.
        voted = self._voted.without(keys_of(self._picked(self._closed(), VOTED, None).rows()))
        names = tuple(index.names for index in self._indices())
        return _State(
            pack_sums(minutes), names, self._position, self._trail.points, self.marks, self._watermark.now_ms,
            self._wellness.snapshot(), voted.snapshot(), self._voted_on_time.snapshot(), self._usual.snapshot(),
            self._watch.snapshot(), self._minute, self._closed_to, self._sealed_to, self._judged_from, self._judged_to,
            tuple(self._told))

    def _indices(self) -> tuple[Index, ...]:
        return self._brands, self._sources, self._langs, self._models, self._rules

    @classmethod
    def restore(cls, block: Block, times: Times | None = None) -> "Tracker":
        """The tracker that made a block, as it stood then, but for rows and floors: `apply` the log from its `resume`.

        Raises `BrokenPromise` for bytes that `block` did not write.
        """
        state = unpacked(block.state, _State)
        tracker = cls(block.partition, block.partitions, times)
        tracker._brands, tracker._sources, tracker._langs, tracker._models, tracker._rules = map(Index, state.names)
        tracker._position, tracker._trail = state.position, Trail(state.trail)
        tracker._watermark = Watermark(block.partitions, state.marks, state.now_ms)
        tracker._wellness, tracker._usual = Wellness.restore(state.wellness), UsualSources.restore(state.usual)
        tracker._voted, tracker._voted_on_time = Voted.restore(state.voted), Voted.restore(state.voted_on_time)
        names = Names(tracker._brands.names, tracker._sources.names, tracker._langs.names)
        tracker._watch = Watch.restore(state.watch, names)
        tracker._minutes.restore([*block.minutes, *unpack_sums(state.minutes)])
        tracker._minute, tracker._closed_to, tracker._sealed_to = state.minute, state.closed_to, state.sealed_to
        tracker._judged_from, tracker._judged_to = state.judged_from, state.judged_to
        tracker._told, tracker._is_behind = list(state.told), True
        tracker._block = tracker._slot
        return tracker

    def _authors(self, first: int, after: int, brands: Ints) -> Ints:
        """Distinct authors of these brands, by brand, in the panes that still have their rows."""
        slices = [one for pane, one in self._slices.items() if first <= pane < after]
        some = brands.astype(np.uint32) if len(brands) < len(self._brands.names) else None
        picked = self._picked(slices, COUNTED, some)
        return distinct_authors(picked.column("brand"), picked.column("author"), len(self._brands.names))

    def _completeness(self, brands: Ints, after: int) -> dict[str, dict[int, float]]:
        """Window -> brand -> share of its usual mentions whose source was healthy, over the panes that are closed."""
        closed = after if self._closed_to is None else min(after, self._closed_to)
        if not self._wellness.is_anybody_sick():
            return {window: dict.fromkeys(brands.tolist(), 1.0) for window in WINDOWS}
        usual = self._usual.shares(one.by_source() for one in self._slices.values())
        out: dict[str, dict[int, float]] = {}
        for window, panes in WINDOWS.items():
            first = min(after - panes, closed - MINUTE)
            well = [self._wellness.share(source, first, closed) for source in self._sources.names]
            out[window] = {}
            for brand in brands.tolist():
                weights = usual.get(brand, {})
                total = sum(weights.values())
                healthy = sum(well[source] * weight for source, weight in weights.items())
                out[window][brand] = healthy / total if total else 1.0
        return out

    def nbytes(self) -> int:
        """The memory of the facts, sums and votes held, in bytes."""
        minutes = sum(part.nbytes for _, part in self._minutes.held())
        voted = self._voted.nbytes() + self._voted_on_time.nbytes()
        return sum(one.nbytes() for one in self._slices.values()) + voted + minutes


class _State(msgspec.Struct, frozen=True):
    """A tracker's state but for the rows, the floors and the sums of whole spans."""

    minutes: bytes  # the sums of the sealed minutes after those spans
    names: tuple[list[str], ...]  # brands, sources, langs, models, rules
    position: int
    trail: tuple[Point, ...]
    marks: dict[int, int]
    now_ms: int | None
    wellness: bytes
    voted: bytes
    voted_on_time: bytes
    usual: bytes
    watch: bytes
    minute: int | None
    closed_to: int | None
    sealed_to: int | None
    judged_from: int | None
    judged_to: int | None
    told: tuple[Swing, ...]


def _latest_ms(frame: Frame) -> int:
    """The latest arrival that a frame speaks of: by its marks, or by rows and floors whose marks come in a later piece.
    """
    latest = max((mark.mark_ms for mark in frame.marks), default=NEVER)
    for some in (frame.rows, frame.floors):
        if len(some):
            latest = max(latest, int(some["arrival"].max()))
    return latest


class _Held(NamedTuple):
    """The rows that the watch may ask for, at the minute `number`. As far back as every reader still has them."""

    slices: dict[int, Slice]
    floors: Floors
    times: Times
    number: int

    @property
    def first(self) -> int:
        return self.number + 2 - max((self.times.grace_ms - self.times.delay_ms) // MINUTE_MS, 1)

    def on_time(self, pane: int) -> Rows:
        return self._known(pane, end_ms(pane) + self.times.delay_ms)

    def _known(self, pane: int, before_ms: int) -> Rows:
        one = self.slices.get(pane)
        return np.zeros(0, FACT) if one is None else one.known(self.floors, before_ms, self.times.grace_ms)

    def said(self, brand: int, first: int, after: int) -> Rows:
        """See `watch.Held`."""
        return self._scored(brand, range(max(first, self.first) * MINUTE, after * MINUTE), 0)

    def remaining(self, brand: int, first: int, after: int, known_ms: int, of_posts: bool) -> Window | None:
        """See `watch.Held`."""
        if first < self.first:
            return None
        panes = range(first * MINUTE, after * MINUTE)
        then, left = (self._scored(brand, panes, since) for since in (0, known_ms + self.times.delay_ms))
        left = some_of(left, np.isin(left["id"], then["id"]))  # what came late was no part of it
        return Window(*_said_by(then, of_posts), *_said_by(left, of_posts))

    def _scored(self, brand: int, panes: range, known_ms: int) -> Rows:
        parts = []
        for pane in panes:
            if pane in self.slices:
                rows = self._known(pane, max(known_ms, end_ms(pane) + self.times.delay_ms))
                parts.append(some_of(rows, (rows["brand"] == brand) & is_scored(rows)))
        return joined(parts, FACT)


def _said_by(rows: Rows, of_posts: bool) -> tuple[int, int]:
    """How many these posts are, or their votes, and the sum of what they say."""
    if of_posts:
        return len(rows), int(rows["score"].sum(dtype=np.int64))
    outcome = tally(rows)
    return int(np.count_nonzero(outcome.votes)), int(outcome.values.sum(dtype=np.int64))


def _voices(rows: Rows) -> tuple[Voice, ...]:
    """At most 400 of these rows, those of the smallest hashes."""
    rows = some_of(rows, np.argsort(rows["id"], kind="stable")[:MOST])
    columns = [rows[name].tolist() for name in ("partition", "offset", "id", "author", "dup", "score", "rev")]
    return tuple(Voice._make((*where, score / UNIT, rev)) for *where, score, rev in zip(*columns, strict=True))


class _Picked(NamedTuple):
    """Some rows of some slices: for each slice the places of its rows."""

    slices: list[Slice]
    places: list[Ints]

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column of these rows, slice after slice."""
        parts = [one.rows[name][at] for one, at in zip(self.slices, self.places, strict=True) if len(at)]
        return np.concatenate(parts) if parts else np.zeros(0, FACT[name])

    def rows(self) -> Rows:
        """The rows themselves, slice after slice."""
        parts = [some_of(one.rows, at) for one, at in zip(self.slices, self.places, strict=True) if len(at)]
        return joined(parts, FACT)


def _mark(rows: Rows, at: Ints, outcome: Outcome) -> bool:
    """Writes who votes, and with what value, into the rows; whether that changed anything."""
    said = COUNTED | np.where(outcome.votes, VOTED, 0) | np.where(outcome.copies, COPY, 0)
    state = (rows["state"][at] & AFTER | said).astype(np.uint8)
    changed = not (np.array_equal(state, rows["state"][at]) and np.array_equal(outcome.values, rows["value"][at]))
    if changed:
        rows["state"][at] = state
        rows["value"][at] = outcome.values
    return changed


def _sum_up(one: Slice) -> None:
    """New sums for one slice."""
    rows = one.counted()
    state = rows["state"]
    one.summed(sums_of(rows, Outcome(state & VOTED != 0, state & COPY != 0, rows["value"])))

