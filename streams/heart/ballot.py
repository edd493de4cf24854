"""Ballot: who has a vote. One vote for each author's hour, and one for each text's.

Authors are the sampling unit, not posts: a loud author or a pasted text says one thing, however often. In order of
(event time, post), a scored mention votes if neither its author nor its text has voted yet in this hour of theirs. The
vote's value is the mean of the author's scores in that pane, in whole 1/10,000, halves rounded up. The hour is each
author's own, (event + hash(author) mod 3600 s) div 3600 s, and each text's: with the clock's hour, loud authors alone
would swing the votes' mood every hour.

There is one ballot, of all talk. An unprompted vote is one of these whose mention the brand has not prompted; its value
is the same. So whoever first answers the brand in an hour of theirs, and then says something unasked, has no unprompted
vote in that hour: what the brand may have moved is left out, and some that it has not.

The outcome depends on the set of counted mentions alone, not on the order in which they came. The rule reads as a loop;
here it runs in rounds over whole arrays: a mention that is the first of its author and the first of its text votes, and
takes the others of either out. `streams/recount.py` has the loop.
Knows nothing of Kafka, clocks, watermarks or intervals.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.facts import Bools, Hashes, is_prompted, is_scored
from streams.heart.packed import pack, unpack
from streams.heart.pane import PANE_MS, Rows, Sums, grouped, runs

HOUR_MS = 3_600_000
_FIRST, _REST = np.uint64(16), np.uint64(48)  # bits of the pane, and of the hash
_AUTHOR, _TEXT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)

Ints = npt.NDArray[np.int64]


class Keys(NamedTuple):
    """For each row the hour of its author and of its text, as 64-bit keys. The first 16 bits are the pane with which
    the hour ends, so that a set of keys knows what it may forget.
    """

    author: Hashes
    text: Hashes


def keys_of(rows: Rows) -> Keys:
    """The two keys of each row (dtype FACT or ROW)."""
    return Keys(_hours(rows, "author", _AUTHOR), _hours(rows, "dup", _TEXT))


def _hours(rows: Rows, name: str, salt: np.uint64) -> Hashes:
    shift = (rows[name] % np.uint64(3600)).astype(np.int64) * 1000
    hour = (rows["event"] + shift) // HOUR_MS
    key = _mixed(_mixed(_mixed(rows[name] ^ salt) ^ rows["brand"].astype(np.uint64)) ^ hour.astype(np.uint64))
    until = -((shift - (hour + 1) * HOUR_MS) // PANE_MS)
    return np.asarray(until.astype(np.uint64) << _REST | key >> _FIRST)


def _mixed(x: Hashes) -> Hashes:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): a permutation, so distinct stays distinct."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


class Voted:
    """The hours of authors and texts that have had their vote, in panes that are closed. A set of keys."""

    def __init__(self) -> None:
        self._keys: Hashes = np.zeros(0, np.uint64)  # rising

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, keys: Hashes) -> Bools:
        """Which of these have voted."""
        if not len(self._keys):
            return np.zeros(len(keys), np.bool_)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray(self._keys[at] == keys)

    def add(self, keys: Keys) -> None:
        """These have voted now."""
        self._keys = np.sort(np.concatenate([self._keys, keys.author, keys.text]))

    def take_back(self, keys: Keys) -> None:
        """These have not voted after all."""
        self._keys = self._keys[~np.isin(self._keys, np.concatenate([keys.author, keys.text]))]

    def forget(self, pane: int) -> None:
        """Drops the hours whose last pane lies before the one given."""
        left = (self._keys >> _REST) - np.uint64(pane & 0xFFFF) & np.uint64(0xFFFF)  # 65,536 panes are a week
        kept = (left > 0) & (left < 0x8000)
        if not kept.all():
            self._keys = self._keys[kept]

    def nbytes(self) -> int:
        """The memory taken."""
        return int(self._keys.nbytes)

    def without(self, keys: Keys) -> "Voted":
        """Another one: as this, but that these have not voted."""
        other = Voted()
        other._keys = self._keys
        other.take_back(keys)
        return other

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        return pack(self._keys)

    @classmethod
    def restore(cls, data: bytes) -> "Voted":
        """The one that made a snapshot. Raises `BrokenPromise` for other bytes."""
        voted = cls()
        voted._keys = unpack(data, Hashes)
        return voted


class Outcome(NamedTuple):
    """For each row given: does it vote, is it a copy, its text having had its vote in this hour before, and what is its
    vote worth: the mean of what the author says in this pane and hour, in 1/10,000; 0 for no vote?
    """

    votes: Bools
    copies: Bools
    values: npt.NDArray[np.int16]

    def of(self, which: slice | Bools) -> "Outcome":
        """The same of some rows."""
        return Outcome(self.votes[which], self.copies[which], self.values[which])


def tally(rows: Rows, *before: Voted) -> Outcome:
    """Who votes among these counted rows (any order), given who has voted before them."""
    keys, scored = keys_of(rows), is_scored(rows)
    author, text = _Groups.of(keys.author), _Groups.of(keys.text)
    spoken, said = author.have(before), text.have(before)
    votes = np.zeros(len(rows), np.bool_)
    order = _in_order(rows)
    left = order[(scored & ~said & ~spoken)[order]]
    while len(left):
        chosen = left[author.firsts(left) & text.firsts(left)]
        votes[chosen] = True
        left = left[~(author.among(left, chosen) | text.among(left, chosen))]
    return Outcome(votes, scored & (said | _said_before(text, votes, order)), _values(rows, author, votes))


def _values(rows: Rows, author: "_Groups", votes: Bools) -> npt.NDArray[np.int16]:
    """What each vote is worth. An author's hour has one vote at most, so there is one pane to average over."""
    pane = rows["event"] // PANE_MS
    voted = np.full(len(author.keys), -1)
    voted[author.at[votes]] = pane[votes]
    heard = is_scored(rows) & (voted[author.at] == pane)
    of = author.at[heard]
    count = np.bincount(of, minlength=len(author.keys))
    total = np.bincount(of, rows["score"][heard], len(author.keys)).astype(np.int64)  # exact: far below 2^53
    values = np.zeros(len(rows), np.int16)
    mine = author.at[votes]
    values[votes] = (2 * total[mine] + count[mine]) // (2 * count[mine])
    return values


def _in_order(rows: Rows) -> Ints:
    """The order by event time, then post."""
    event, post = np.ascontiguousarray(rows["event"]), rows["id"]
    order = np.argsort(event, kind="stable")
    event, post = event[order], post[order]
    if np.any((event[1:] == event[:-1]) & (post[1:] < post[:-1])):  # seldom: slices are sorted by post
        order = np.lexsort((rows["id"], rows["event"]))
    return order


class _Groups(NamedTuple):
    """Rows by their key. `keys` (g): each once, rising; `at` (n): for each row the place of its key among them."""

    keys: Hashes
    at: Ints

    @classmethod
    def of(cls, keys: Hashes) -> "_Groups":
        order = np.argsort(keys)
        inner = keys[order]
        begins = np.ones(len(keys), np.int64)
        begins[1:] = inner[1:] != inner[:-1]
        at = np.empty(len(keys), np.int64)
        at[order] = np.cumsum(begins) - 1
        return cls(inner[begins != 0], at)

    def have(self, before: Sequence[Voted]) -> Bools:
        """For each row: has its key voted before? Asked in rising order, which is several times as fast."""
        known = np.zeros(len(self.keys), np.bool_)
        for voted in before:
            known |= voted.has(self.keys)
        return known[self.at]

    def firsts(self, rows: Ints) -> Bools:
        """Which of these rows are the first of their key, in the order given."""
        where = np.arange(len(rows))
        first = np.empty(len(self.keys), np.int64)
        first[self.at[rows][::-1]] = where[::-1]  # of several values for one place the last one stays
        return np.asarray(first[self.at[rows]] == where)

    def among(self, rows: Ints, others: Ints) -> Bools:
        """Which of these rows have a key that one of the others has."""
        hit = np.zeros(len(self.keys), np.bool_)
        hit[self.at[others]] = True
        return hit[self.at[rows]]


def _said_before(text: _Groups, votes: Bools, order: Ints) -> Bools:
    """Which texts had got their vote at an earlier place of this order."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    voted = np.full(len(text.keys), len(order))
    voted[text.at[votes]] = rank[votes]
    return np.asarray(voted[text.at] < rank)


def sums_of(rows: Rows, outcome: Outcome) -> Sums:
    """The sums of one pane's counted rows."""
    scored, votes = is_scored(rows), outcome.votes
    value = outcome.values.astype(np.int64)
    label = rows["label"]
    columns = [label == at for at in range(4)] + [np.where(scored, rows["score"], 0), outcome.copies]
    columns += [votes & (label == at) for at in range(3)] + [value, value * value]
    prompted = is_prompted(rows)
    alone = np.where(prompted, 0, value)
    columns += [prompted, votes & ~prompted, alone, alone * alone]
    return grouped(rows["brand"], np.stack(columns, axis=1).astype(np.int64))


def distinct_authors(brand: npt.NDArray[np.uint32], author: Hashes, brands: int) -> Ints:
    """How many different authors each of the brands 0, 1, … has among these mentions.

    Brand and author share one number, so that one sort of plain numbers does: three times faster than two keys. Of a
    million authors of one of a thousand brands two are taken for one in one hour of 30,000.

    >>> distinct_authors(np.array([0, 2, 2, 2], np.uint32), np.array([7, 7, 7, 8], np.uint64), 3).tolist()
    [1, 0, 2]
    """
    if not len(brand):
        return np.zeros(brands, np.int64)
    bits = np.uint64(brands.bit_length())
    both = np.sort(brand.astype(np.uint64) << (np.uint64(64) - bits) | _mixed(author) >> bits)
    return np.bincount((both[runs(both)] >> (np.uint64(64) - bits)).astype(np.int64), minlength=brands)
