"""Minute: what the detector is told of sixty seconds. Six panes, closed, and only what was on time.

A late post, an edit or a removal after the close corrects figures, never history: the same records make the same
minutes, whoever reads them and whenever. Votes are cast among on-time mentions alone, with a memory of their own.
Sums are whole numbers; x is a score in 1/10,000.
Knows nothing of windows, levels, slices or why it is asked.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.ballot import Voted, keys_of, tally
from streams.heart.facts import Bools, is_scored
from streams.heart.pane import Rows, grouped, runs, some_of

MINUTE_MS = 60_000
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]


class Segments(NamedTuple):
    """What is said by brand, source and language. `key` (m), rising: see `segment_key`. `sums` (m, 4): count and sum of
    x of the votes, then of all scored mentions.
    """

    key: Ints
    sums: Ints


class Minute(NamedTuple):
    """The sums of the brands that were mentioned in one minute.

    `brand` (k): each once, rising. `votes`, `raw` (k, 4): count and sums of x, x^2, x^3, of votes and of all scored
    mentions. `mentions` (k): abstentions included; `copies` (k): whose text had had its vote. `rulers` (k, 2): the
    lowest and the highest (model, rule) by which the brand's mentions came about, as one number; they differ where two
    were at work.
    """

    number: int
    brand: Numbers
    votes: Ints
    raw: Ints
    mentions: Ints
    copies: Ints
    rulers: Ints
    segments: Segments


_NONE = np.zeros(0, np.int64)
_NOTHING = (np.zeros(0, np.uint32), np.zeros((0, 4), np.int64), np.zeros((0, 4), np.int64), _NONE, _NONE,
            np.zeros((0, 2), np.int64), Segments(_NONE, np.zeros((0, 4), np.int64)))


def segment_key(brand: Ints, source: Ints, lang: Ints) -> Ints:
    """Brand, source and language as one number; `segment_of` takes it apart."""
    return (brand << 16) | (source << 8) | lang


def segment_of(key: int) -> tuple[int, int, int]:
    """Brand, source and language of a key.

    >>> segment_of(int(segment_key(np.array([7]), np.array([2]), np.array([1]))[0]))
    (7, 2, 1)
    """
    return key >> 16, key >> 8 & 255, key & 255


def minute_of(number: int, rows: Rows, voted: Voted) -> Minute:
    """The minute of these on-time rows (dtype FACT, any order); its voters are added to `voted`."""
    if not len(rows):
        return Minute(number, *_NOTHING)
    votes, copies, values = tally(rows, voted)
    if votes.any():
        voted.add(keys_of(some_of(rows, votes)))
    value = values.astype(np.int64)
    scored = is_scored(rows)
    score = np.where(scored, rows["score"], 0).astype(np.int64)
    columns = [votes, value, value**2, value**3, scored, score, score**2, score**3, np.ones(len(rows), np.int64),
               copies]
    brand, sums = grouped(rows["brand"], np.stack(columns, axis=1).astype(np.int64))
    sums = sums.astype(np.int64)
    counts = sums[:, 8], sums[:, 9]
    return Minute(number, brand, sums[:, :4], sums[:, 4:8], *counts, _rulers(rows), _segments(rows, votes, value))


def _rulers(rows: Rows) -> Ints:
    """For each brand, rising, the lowest and the highest ruler."""
    if not len(rows):
        return np.zeros((0, 2), np.int64)
    order = np.argsort(rows["brand"], kind="stable")
    brand = rows["brand"][order]
    ruler = (rows["model"].astype(np.int64) << 16 | rows["rule"])[order]
    starts = runs(brand)
    return np.stack([np.minimum.reduceat(ruler, starts), np.maximum.reduceat(ruler, starts)], axis=1)


def _segments(rows: Rows, votes: Bools, value: Ints) -> Segments:
    scored = is_scored(rows)
    some = some_of(rows, scored)
    key = segment_key(*(some[name].astype(np.int64) for name in ("brand", "source", "lang")))
    keys, place = np.unique(key, return_inverse=True)
    sums = np.zeros((len(keys), 4), np.int64)
    columns = [votes[scored], value[scored], np.ones(len(some), np.int64), some["score"]]
    np.add.at(sums, place, np.stack(columns, axis=1).astype(np.int64))
    return Segments(keys, sums)
