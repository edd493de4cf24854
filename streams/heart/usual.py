"""Usual: what a brand's talk is made of when nothing happens: by source and language, copies, votes to a post.

Learned from the same minutes as the detector's level, an hour behind, and forgotten by half in eight hours. The last
two hours are kept minute by minute, to be held against it.
Knows nothing of swings, rows or how a source's health is judged.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import fsum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.facts import Bools
from streams.heart.minute import Ints, Minute, Segments
from streams.heart.packed import pack, unpack
from streams.heart.pane import UNIT
from streams.heart.swing import RING, Floats

_FADE = 0.5 ** (1 / 480)  # a minute's: half in eight hours, the longest that the level of the detector remembers
Amounts = dict[str, tuple[float, float]]


class Dimension(NamedTuple):
    """By what talk is split: where the number stands in a segment's key, and the names behind it."""

    shift: int  # 8: source, 0: language
    names: Sequence[str]


class _State(NamedTuple):
    lately: list[tuple[Ints, Floats, Segments]]
    key: Ints
    sums: Floats
    counts: Floats


class Usual:
    """What is usual of all brands of a partition. A brand's `series`: its place in the order of waking."""

    def __init__(self) -> None:
        self._lately: deque[tuple[Ints, Floats, Segments]] = deque(maxlen=RING)  # brands, their counts, segments
        self._key: Ints = np.zeros(0, np.int64)  # rising; see `minute.segment_key`
        self._sums: Floats = np.zeros((0, 4))  # votes, the sum of their moods; the same of posts
        self._counts: Floats = np.zeros((0, 5))  # votes, posts, copies, mentions, sum of the posts' moods

    def grow(self, series: int) -> None:
        """Adds series at the end, until there are so many."""
        more = series - len(self._counts)
        if more > 0:
            self._counts = np.concatenate([self._counts, np.zeros((more, 5))])

    def reset(self, series: Ints, brands: Ints) -> None:
        """These begin anew."""
        self._counts[series] = 0.0
        kept = ~np.isin(self._key >> 16, brands)
        self._key, self._sums = self._key[kept], self._sums[kept]

    def step(self, minute: Minute, series_of: Ints, tested: Bools, learned: Bools, lag: int) -> None:
        """Takes a minute in, of the brands whose sources were healthy, and learns the one `lag` minutes before it, of
        those whose detector does.

        `series_of`: brand -> series. `tested`, `learned` (series).
        """
        scores = minute.raw[:, 1] / UNIT
        counts = np.stack([minute.votes[:, 0], minute.raw[:, 0], minute.copies, minute.mentions, scores], axis=1)
        heard, heard_of = tested[series_of[minute.brand]], tested[series_of[minute.segments.key >> 16]]
        self._lately.append((minute.brand[heard].astype(np.int64), counts[heard],
                             Segments(minute.segments.key[heard_of], minute.segments.sums[heard_of])))
        self._sums *= _FADE
        self._counts *= _FADE
        if len(self._lately) <= lag:
            return
        brand, counts, segments = self._lately[-1 - lag]
        quiet = learned[series_of[brand]]
        self._counts[series_of[brand[quiet]]] += counts[quiet]
        quiet = learned[series_of[segments.key >> 16]]
        self._learn(segments.key[quiet], segments.sums[quiet] / (1, UNIT, 1, UNIT))

    def _learn(self, key: Ints, sums: Floats) -> None:
        fresh = np.setdiff1d(key, self._key, assume_unique=True)
        if len(fresh):
            keys = np.concatenate([self._key, fresh])
            order = np.argsort(keys)
            self._key = keys[order]
            self._sums = np.concatenate([self._sums, np.zeros((len(fresh), 4))])[order]
        self._sums[np.searchsorted(self._key, key)] += sums

    # Rest and return.

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        return pack(_State(list(self._lately), self._key, self._sums, self._counts))

    @classmethod
    def restore(cls, data: bytes) -> "Usual":
        """The one that made a snapshot. Raises `BrokenPromise` for other bytes."""
        usual = cls()
        lately, usual._key, usual._sums, usual._counts = unpack(data, _State)
        usual._lately.extend(lately)
        return usual

    # What is asked of it.

    def votes_per_post(self, series: int) -> float:
        """Votes to a scored post; 1 before anything is learned."""
        votes, posts = self._counts[series, :2].tolist()
        return votes / posts if posts else 1.0

    def votes_per_mention(self, series: int) -> float:
        """Votes to a mention, abstentions included."""
        votes, mentions = self._counts[series, [0, 3]].tolist()
        return votes / mentions if mentions else 1.0

    def copied(self, series: int) -> float:
        """The share of posts that repeat a text of their hour."""
        posts, copies = self._counts[series, 1:3].tolist()
        return copies / posts if posts else 0.0

    def posts(self, series: int) -> tuple[float, float] | None:
        """Posts and the sum of their moods, faded; None before anything is learned."""
        posts, moods = self._counts[series, [1, 4]].tolist()
        return (posts, moods) if posts else None

    def split(self, brand: int, dimension: Dimension, width: int, posts: bool) -> tuple[Amounts, Amounts]:
        """Votes (or posts) and their moods by segment: what is usual, and of the last `width` minutes."""
        column = 2 if posts else 0
        before = _amounts(self._of_brand(brand, self._key, self._sums, dimension, column), 1)
        lately = (self._of_brand(brand, *segments, dimension, column) for *_, segments in list(self._lately)[-width:])
        return before, _amounts(chain.from_iterable(lately), UNIT)

    @staticmethod
    def _of_brand(brand: int, keys: Ints, sums: npt.NDArray[Any], dimension: Dimension,
                  column: int) -> Iterator[tuple[str, float, float]]:
        low, high = np.searchsorted(keys, [brand << 16, (brand + 1) << 16])
        for key, said in zip(keys[low:high].tolist(), sums[low:high].tolist(), strict=True):
            if said[column]:
                yield dimension.names[key >> dimension.shift & 255], said[column], said[column + 1]

    def complete(self, brands: Ints, sick: frozenset[int]) -> Floats:
        """The share of each brand's usual votes whose source was healthy; (brands)."""
        out = np.ones(len(brands))
        if not sick:
            return out
        ill = np.isin(self._key >> 8 & 255, sorted(sick))
        for place, brand in enumerate(brands.tolist()):
            low, high = np.searchsorted(self._key, [brand << 16, (brand + 1) << 16])
            votes = self._sums[low:high, 0]
            total = fsum(votes.tolist())
            # A source is sick, and nobody knows yet whose.
            out[place] = 1.0 - fsum(votes[ill[low:high]].tolist()) / total if total else 0.0
        return out


def _amounts(said: Iterable[tuple[str, float, float]], unit: int) -> Amounts:
    """Counts and moods by name. Exact sums, so that the order of the names' numbers does not show."""
    parts: dict[str, tuple[list[float], list[float]]] = {}
    for name, count, total in said:
        counts, totals = parts.setdefault(name, ([], []))
        counts.append(count)
        totals.append(total)
    return {name: (fsum(counts), fsum(totals) / unit) for name, (counts, totals) in parts.items()}
