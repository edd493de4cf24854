"""Ward: the trackers in this worker's care, one for each partition it owns, and what they show.

Nothing here is safe for two threads: one owner at a time (the pulse worker's own thread) calls it.
Knows nothing of Kafka, clocks, HTTP or how partitions are assigned.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from streams.heart.block import Block
from streams.heart.errors import BrokenPromise
from streams.heart.explain import Evidence
from streams.heart.frame import partition_of
from streams.heart.incident import Swing
from streams.heart.settled import Settled
from streams.heart.tracker import Times, Tracker
from streams.heart.window import WINDOWS, Reading
from streams.metrics import Shown


class Ward:
    """Takes frames in, settles, and keeps what each partition shows. `listed`: the brands of the brand file."""

    def __init__(self, partitions: int, times: Times, listed: Iterable[str]) -> None:
        self.partitions = partitions
        self._times = times
        self._trackers: dict[int, Tracker] = {}
        self._shown: dict[int, Shown] = {}
        self._moved: set[int] = set()
        self._homes: dict[str, int] = {}
        self._listed: dict[int, list[str]] = {}
        self.renew(listed)

    @property
    def owned(self) -> frozenset[int]:
        """The partitions in care now."""
        return frozenset(self._trackers)

    def listed(self, partition: int) -> Sequence[str]:
        """The brands of the brand file that are counted in this partition."""
        return self._listed.get(partition, [])

    def renew(self, brands: Iterable[str]) -> None:
        """A new brand file: its brands are shown, silent ones as well."""
        listed: dict[int, list[str]] = {}
        for brand in brands:
            listed.setdefault(self._home(brand), []).append(brand)
        self._listed = listed  # at once: `listed` may be asked on another thread
        for partition, shown in self._shown.items():
            readings = {**self._silent(partition), **shown.readings}
            self._shown[partition] = replace(shown, readings=readings)

    def _silent(self, partition: int) -> dict[str, list[Reading]]:
        return {brand: silence(brand) for brand in self.listed(partition)}

    def new(self, partition: int, block: Block | None = None) -> Tracker:
        """A tracker that knows what a block holds, or nothing yet, and is not in care: for reading the log into it."""
        if block is None:
            return Tracker(partition, self.partitions, self._times)
        return Tracker.restore(block, self._times)

    def keep(self, mine: Collection[int]) -> None:
        """Drops every partition but these."""
        for partition in self.owned - frozenset(mine):
            del self._trackers[partition], self._shown[partition]
            self._moved.discard(partition)

    def adopt(self, tracker: Tracker) -> Settled:
        """Takes a tracker into care that has read its log. What it settles now is the past: counted by no counter.

        What is returned has the steps of swings that must be told again, in order: whoever made them first may have
        ended before they were delivered. They are those of what is still open, those of the last hour, and all since
        the block that it goes on from.
        """
        settled = tracker.settle()
        partition = tracker.partition
        self._trackers[partition] = tracker
        self._shown[partition] = self._renewed(tracker, self._silent(partition), tracker.readings())
        steps = self._steps(tracker, tracker.told())
        tracker.caught_up()
        return replace(settled, swings=steps)

    def apply(self, frames: Mapping[int, Iterable[bytes]]) -> None:
        """Takes in the frames that come next, by partition. Raises `BrokenPromise` for what is no frame, or a partition
        not in care.
        """
        for partition, some in frames.items():
            tracker = self._trackers.get(partition)
            if tracker is None:
                raise BrokenPromise(f"frames for partition {partition}, which has no tracker")
            tracker.apply(some)
            self._moved.add(partition)

    def settle(self) -> list[Settled]:
        """Settles the partitions that took something in, and renews what they show of the brands that moved."""
        out = []
        for partition in sorted(self._moved):
            tracker = self._trackers[partition]
            settled = tracker.settle()
            out.append(replace(settled, swings=self._steps(tracker, settled.swings)))
            before = self._shown[partition].readings
            self._shown[partition] = self._renewed(tracker, before, tracker.readings(settled.changed))
        self._moved.clear()
        return out

    def evidence(self, swing: Swing) -> Evidence | None:
        """The posts behind a swing that still count; None: its brand is in another's care."""
        tracker = self._trackers.get(self._home(swing.brand))
        return None if tracker is None else tracker.evidence(swing)

    def blocks(self) -> list[Block]:
        """The blocks that are due. Right after `settle`, and of what it has settled."""
        return [tracker.block() for _, tracker in sorted(self._trackers.items())
                if tracker.is_block_due and tracker.partition not in self._moved]

    def _steps(self, tracker: Tracker, steps: Iterable[Swing]) -> tuple[Swing, ...]:
        """The steps of the brands that are counted in this partition: the others are told by another."""
        return tuple(step for step in steps if self._home(step.brand) == tracker.partition)

    def _renewed(self, tracker: Tracker, before: Mapping[str, Sequence[Reading]], readings: Iterable[Reading]) -> Shown:
        fresh: dict[str, list[Reading]] = {}
        for reading in readings:
            fresh.setdefault(reading.brand, []).append(reading)
        # A frame may name a brand that is counted elsewhere; two partitions must never show one brand.
        home = {brand: of for brand, of in fresh.items() if self._home(brand) == tracker.partition}
        standing = {brand: of for brand, of in tracker.standing().items() if self._home(brand) == tracker.partition}
        return Shown({**before, **home}, tracker.watermark_ms, tracker.highest_mark_ms, standing)

    def _home(self, brand: str) -> int:
        home = self._homes.get(brand)
        if home is None:
            home = self._homes[brand] = partition_of(brand, self.partitions)
        return home

    def shown(self) -> Mapping[int, Shown]:
        """What every partition shows now: a mapping that stays as it is."""
        return MappingProxyType(dict(self._shown))


def silence(brand: str) -> list[Reading]:
    """The readings of a brand of which nothing was said.

    >>> [reading.window for reading in silence("quovira")]
    ['1m', '5m', '1h', '24h']
    """
    return [
        Reading(brand, window, 0, 0, 0, 0, 0, 0.0, 0, None, None, None, None, None if window == "24h" else 0, 1.0)
        for window in WINDOWS
    ]
