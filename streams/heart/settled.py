"""Settled: what one settling of a tracker did, for whoever counts and tells. Knows nothing of how it was done."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streams.heart.facts import FACT, Verdicts
from streams.heart.frame import FLOOR, LABELS
from streams.heart.incident import Swing
from streams.heart.notice import MentionsRead
from streams.heart.pane import FIELDS, Rows, Sums, add, joined

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Settled:
    """What one settling did. Times are those of the mentions that became visible."""

    counts: MentionsRead
    counted: tuple[tuple[str, str, str, int], ...]  # brand, source, sentiment, how many
    votes: tuple[tuple[str, str, int], ...]  # brand, sentiment, how many; of the panes that closed
    event_ms: Ints
    arrival_ms: Ints
    changed: frozenset[str]
    swings: tuple[Swing, ...] = ()  # the steps of incidents, in the order of their minutes
    floors: Rows = field(default_factory=lambda: np.zeros(0, FLOOR))  # those that came: removals, edits


class Settling:
    """What one settling did, in the making."""

    def __init__(self, brands: list[str], sources: list[str]) -> None:
        self._brands, self._sources = brands, sources
        self._verdicts: list[Verdicts] = []
        self._closed: list[Sums] = []
        self._touched: set[int] = set()
        self._swings: list[Swing] = []

    def touched(self, brands: Iterable[Numbers]) -> None:
        for some in brands:
            self._touched.update(some.tolist())

    def resolved(self, verdicts: Verdicts) -> None:
        self._verdicts.append(verdicts)

    def closed(self, sums: Sums) -> None:
        self._closed.append(sums)

    def told(self, swings: Iterable[Swing]) -> None:
        self._swings.extend(swings)

    def done(self, sealed: int, floors: Rows, everything: bool) -> Settled:
        seen = joined([v.seen for v in self._verdicts], FACT)
        all_of = self._verdicts
        counts = MentionsRead(sum(v.new for v in all_of), sum(v.duplicate for v in all_of),
                              sum(v.superseded for v in all_of), sum(v.removed for v in all_of), sealed, len(floors))
        changed = frozenset(self._brands if everything else (self._brands[brand] for brand in self._touched))
        times = seen["event"].copy(), seen["arrival"].copy()
        return Settled(counts, self._counted(seen), self._votes(), *times, changed, tuple(self._swings), floors)

    def _counted(self, seen: Rows) -> tuple[tuple[str, str, str, int], ...]:
        kind = (seen["brand"].astype(np.int64) * 256 + seen["source"]) * 4 + seen["label"]
        kinds, counts = np.unique(kind, return_counts=True)
        return tuple((self._brands[kind >> 10], self._sources[kind >> 2 & 255], LABELS[kind & 3], count)
                     for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True))

    def _votes(self) -> tuple[tuple[str, str, int], ...]:
        total = add(self._closed)
        at = [FIELDS.index(f"{label}_votes") for label in LABELS[:3]]
        return tuple((self._brands[brand], label, count)
                     for brand, counts in zip(total.brand.tolist(), total.values[:, at].tolist(), strict=True)
                     for label, count in zip(LABELS, counts, strict=False) if count)
