"""Mentions to measure with: rows as a busy hour would bring them, packed as score workers pack them."""

from collections.abc import Iterator, Sequence

import numpy as np

from streams.heart.frame import FLOOR, ROW, Frame, Mark, Names, pack, partition_of, used
from streams.heart.pane import Rows, joined

NO_FLOORS = np.zeros(0, FLOOR)
LONGEST_LAG_MS = 20_000


def brands(count: int) -> list[str]:
    """So many names."""
    return [f"brand-{number:04}" for number in range(count)]


class Mentions:
    """A source of mentions, seeded: the same every time."""

    def __init__(self, names: Sequence[str], partitions: int) -> None:
        self._rng = np.random.default_rng(1)
        self._partitions = partitions
        self._names = {at: tuple(name for name in names if partition_of(name, partitions) == at)
                       for at in range(partitions)}
        self._said = 0

    def rows(self, partition: int, count: int, first_ms: int, last_ms: int) -> Rows:
        """Rows of a partition's brands with event times in a span, in the order of their arrival."""
        rng, rows = self._rng, np.zeros(count, ROW)
        number = np.arange(self._said, self._said + count, dtype=np.uint64)
        self._said += count
        rows["id"] = number * np.uint64(0x9E3779B97F4A7C15)
        # Some people are loud; one text in ten is said by several.
        rows["author"] = rng.zipf(1.3, count).astype(np.uint64) % np.uint64(20_000) * np.uint64(7919) + np.uint64(1)
        rows["dup"] = np.where(rng.random(count) < 0.1, number // np.uint64(50), rows["id"])
        rows["event"] = rng.integers(first_ms, last_ms, count)
        rows["arrival"] = rows["event"] + np.minimum(rng.exponential(3000, count), LONGEST_LAG_MS).astype(np.int64)
        rows["offset"], rows["partition"] = number, number % np.uint64(self._partitions)
        rows["brand"] = rng.integers(0, len(self._names[partition]), count)
        rows["score"], rows["label"] = rng.integers(-10_000, 10_001, count), rng.integers(0, 3, count)
        rows["source"], rows["lang"] = rng.integers(0, 3, count), rng.integers(0, 2, count)
        return rows[np.argsort(rows["arrival"], kind="stable")]

    def every(self, partition: int, minutes: int, start_ms: int) -> Rows:
        """One row of each brand of a partition in each of so many minutes."""
        names = len(self._names[partition])
        rows = self.rows(partition, names * minutes, start_ms, start_ms + 1)
        rows["brand"] = np.tile(np.arange(names), minutes)
        within_ms = self._rng.integers(0, 60_000, len(rows))
        rows["event"] = start_ms + 60_000 * np.repeat(np.arange(minutes), names) + within_ms
        rows["arrival"] = rows["event"]
        return rows

    def frame(self, partition: int, rows: Rows, mark_ms: int) -> bytes:
        """A frame of these rows, which marks every posts partition."""
        rows = joined([rows], ROW).copy()
        names = {}
        for kind, known in (("brand", self._names[partition]), ("source", ("a", "b", "c")), ("lang", ("id", "en")),
                            ("model", ("m@0",)), ("rule", ("always",))):
            rows[kind], names[kind] = used(rows[kind], known)
        marks = tuple(Mark(at, mark_ms) for at in range(self._partitions))
        return pack(Frame(Names(**names), rows, NO_FLOORS, marks))

    def frames(self, partition: int, rows: Rows, each: int) -> Iterator[bytes]:
        """Rows in frames of so many."""
        for start in range(0, len(rows), each):
            part = rows[start:start + each]
            yield self.frame(partition, part, int(part["arrival"][-1]))
