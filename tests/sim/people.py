"""People: a seeded public, author by author and text by text, for whatever has to run the whole way of counting.

    authors   heavy-tailed: a few loud ones, many occasional ones. Each keeps a leaning, a source and a language
    texts     most are new; some repeat one that was said before, and keep its score; an attack pastes a few
    minutes   volume with its day and its weekends; a mood that wanders; events: swing, burst, attack, drift

    crowd (who, how often, leaning) × volume (minute) ──▶ posts ──▶ rows ──▶ frames with marks ──▶ Tracker(0, 1)
                            └───────× tilt (minute) ──▶ truth: votes and their sum to be expected of each minute

*Truth* is what the mean vote estimates: the expected mood of a vote that is cast at that time. An author casts one if
they have been silent since their own hour began, so loud authors weigh less than they post; whose hour begins when is
their hash's choice, taken here as uniform. It is exact for posts that are new texts. That of a repeated text's few
votes is taken to be the same, and an attack's votes are no part of it: it is not what the public thinks.
Volume, mood, noise and events follow the numbers of the detector's simulator, where each post is a vote.
Knows nothing of edits and removals (`tests/driver.py` has those), of words, or of how a swing is found.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.frame import ABSTAINED, FLOOR, ROW, Frame, Mark, Names, pack
from streams.heart.pane import UNIT, Rows, joined

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

START_MS = 1_795_586_400_000  # a full hour
MINUTE_MS, HOUR, DAY, WEEK = 60_000, 60, 1440, 10_080
CENTRES, SPREADS = np.array([-0.72, 0.0, 0.72]), np.array([0.20, 0.15, 0.20])  # scores by class
KINDS = ("down", "up", "burst", "attack", "drift")
ODDS = (0.30, 0.15, 0.20, 0.20, 0.15)
SIZES, RAMPS = (0.10, 0.20, 0.35, 0.60), (1, 5, 15, 30)
TAIL = 4  # half-lives in which a swing ebbs away
LEANINGS = 15
SOURCES, LANGS = ("demo", "board", "shop"), ("id", "en", "jv")
SOURCE_SHARES, LANG_SHARES = (0.60, 0.25, 0.15), (0.70, 0.20, 0.10)


def _clipped(centre: float, spread: float) -> float:
    """The mean of a normal score that is held to [-1, 1]."""
    z = (1 - abs(centre)) / spread
    over = spread * (math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * math.erfc(z / math.sqrt(2)) / 2)
    return math.copysign(abs(centre) - over, centre)


LOUDNESS = _clipped(0.72, 0.20)  # the mean score of a positive post


@dataclass(frozen=True)
class Manner:
    """How a public speaks. `noise` and `wander`: how restless its mood is, 0 for not at all."""

    noise: float = 1.0
    wander: float = 1.0
    day: tuple[float, float] = (0.5, 1.1)  # amplitude of the day in the log of volume, lowest and highest
    rough: float = 1.0  # how irregular the volume is beyond that
    kin: float = 0.32  # correlation of the scores of one author's posts
    again: float = 0.66  # share of a week's posts by authors with more than one
    levels: float = 0.15  # sd of the tilt of sources, and of languages
    copied: float = 0.10  # share of posts that repeat another's text
    abstained: float = 0.04
    late: float = 0.02  # share that arrives up to 50 min late, all others within 5 s
    twice: float = 0.02  # share that is delivered again
    evasion: tuple[float, float] = (0.0, 0.20)  # share of an attack's copies that are reworded, lowest and highest
    pace: float = 1.4  # days from one event to the next; 0 for no events
    loud: bool = False  # instead of the heavy tail: 10 % loud and sour authors, 90 % occasional and pleased ones


STILL = Manner(noise=0, wander=0, day=(0, 0), rough=0, pace=0)
MANNERS = {
    "calm": Manner(),
    "noisy-real": Manner(noise=2, wander=3),
    "noisy": Manner(noise=4, wander=4),
    "null": Manner(pace=0),
    "still": STILL,
    "loud": replace(STILL, copied=0, abstained=0, late=0, twice=0, loud=True),
}


class Event(NamedTuple):
    """What happened to a brand, in minutes since the beginning: [on, end), its tail until `stop`."""

    brand: str
    kind: str  # of KINDS
    on: int
    end: int
    stop: int
    size: float = 0.0  # of the mood
    volume: float = 1.0  # factor; for an attack its copies a minute


@dataclass(frozen=True)
class Crowd:
    """Who speaks. An author has a rate (a level of `rates`) and a mind (leaning, source, language)."""

    keys: npt.NDArray[np.uint64]
    level: Ints
    mind: Ints
    rates: Floats  # posts a minute, at mean volume, by level
    tilt: Floats  # by mind
    source: Ints  # by mind
    lang: Ints  # by mind
    shares: Floats  # negative, neutral, positive, of a mind with tilt 0

    @cached_property
    def heads(self) -> Floats:
        """How many authors there are, by level and mind."""
        flat = np.bincount(self.level * len(self.tilt) + self.mind, minlength=len(self.rates) * len(self.tilt))
        return flat.reshape(len(self.rates), len(self.tilt)).astype(float)

    def mood(self, tilt: float) -> float:
        """The mean score of the posts of all, at some tilt of the public."""
        weight = self.rates @ self.heads
        return float(weight @ moods(self.shares, self.tilt + tilt) / weight.sum())

    def tilt_for(self, change: float, base: float = 0.0) -> float:
        """The tilt that moves the public's mood by so much; the mood itself is held to 0.67 of the scale."""
        goal = min(max(self.mood(base) + change, -0.67), 0.67)
        return solved(lambda tilt: self.mood(base + tilt) - goal, -6, 6)


def moods(shares: Floats, tilt: Floats) -> Floats:
    """The expected score at some tilts: shares ~ (negative e^-tilt, neutral, positive e^tilt)."""
    down, up = shares[0] * np.exp(-tilt), shares[2] * np.exp(tilt)
    return np.asarray(LOUDNESS * (up - down) / (down + shares[1] + up))


def solved(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, by halving."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def kinship(shares: Floats, tilt: Floats, weight: Floats) -> float:
    """The correlation of two scores of one author, by the tilts and weights of minds: between over all variance."""
    p = np.stack([shares[0] * np.exp(-tilt), np.full(len(tilt), shares[1]), shares[2] * np.exp(tilt)])
    p /= p.sum(axis=0)
    mean = CENTRES @ p
    within = (CENTRES**2 + SPREADS**2) @ p - mean**2
    between = weight @ mean**2 - (weight @ mean) ** 2
    return float(between / (between + weight @ within))


def crowd(rng: np.random.Generator, per_minute: float, manner: Manner) -> Crowd:
    """The authors of one brand."""
    negative, positive = rng.uniform(0.08, 0.35), rng.uniform(0.15, 0.45)
    shares = np.array([negative, 1 - negative - positive, positive])
    if manner.loud:
        return _two_kinds(rng, per_minute, shares)
    leaning, source, lang = (part.ravel() for part in np.meshgrid(
        np.arange(LEANINGS), np.arange(len(SOURCES)), np.arange(len(LANGS)), indexing="ij"))
    tilts = rng.normal(0, manner.levels, len(SOURCES))[source] + rng.normal(0, manner.levels, len(LANGS))[lang]
    weight = np.array(SOURCE_SHARES)[source] * np.array(LANG_SHARES)[lang] / LEANINGS
    steps = np.array([NormalDist().inv_cdf((at + 0.5) / LEANINGS) for at in range(LEANINGS)])[leaning]
    spread = solved(lambda sd: kinship(shares, tilts + sd * steps, weight) - manner.kin, 0, 8)
    rates = _rates(per_minute, manner.again)
    level = np.round(2 * np.log2(rates)).astype(np.int64)
    mind = rng.choice(len(tilts), len(rates), p=weight)
    grid = 2.0 ** (np.arange(level.min(), level.max() + 1) / 2)
    return Crowd(_keys(rng, len(rates)), level - level.min(), mind, grid * per_minute / grid[level - level.min()].sum(),
                 tilts + spread * steps, source, lang, shares)


def _rates(per_minute: float, again: float) -> Floats:
    """Posts a minute of each author, by rank: as many authors as make the share of a week's posts come true that is by
    authors with more than one.
    """
    def rates(rank: Floats) -> Floats:
        return (rank + 5.0) ** -0.8

    def short(log: float) -> float:  # by some ranks for all: there may be millions
        edges = np.unique(np.rint(np.geomspace(1, math.exp(log), 400))) - 1
        posts = rates((edges[1:] + edges[:-1]) / 2) * np.diff(edges)
        week = rates((edges[1:] + edges[:-1]) / 2) * WEEK * per_minute / posts.sum()
        return again - 1 + float(posts @ np.exp(-week) / posts.sum())

    weight = rates(np.arange(math.exp(solved(short, 2, math.log(4 * WEEK * per_minute + 100)))))
    return np.asarray(per_minute * weight / weight.sum())


def _two_kinds(rng: np.random.Generator, per_minute: float, shares: Floats) -> Crowd:
    """10 % loud authors, 3 posts an hour at -0.30, and 90 % occasional ones, 0.15 an hour at +0.10."""
    rates = np.array([3.0, 0.15]) / HOUR
    heads = int(per_minute / (rates @ [0.1, 0.9]))
    level = (np.arange(heads) >= heads // 10).astype(np.int64)
    tilt = np.array([solved(_misses(shares, mood), -6, 6) for mood in (-0.30, 0.10)])
    zero = np.zeros(2, np.int64)
    return Crowd(_keys(rng, heads), level, level, rates, tilt, zero, zero, shares)


def _misses(shares: Floats, mood: float) -> Callable[[float], float]:
    return lambda tilt: float(moods(shares, np.array([tilt]))[0]) - mood


def _keys(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    return rng.integers(0, 2**64, count, np.uint64)


class Expected(NamedTuple):
    """The votes to be expected of each minute, and the sum of their values."""

    votes: Floats
    total: Floats

    def mood(self, first: int, after: int) -> float:
        """The expected mood of a vote that is cast in the minutes [first, after)."""
        return float(self.total[first:after].sum() / self.votes[first:after].sum())


def votes_of(rates: Floats, volume: Floats) -> Floats:
    """The votes to be expected of one author of each rate in each minute: (minutes, rates).

    A vote is cast in the first minute with a post since the author's own hour began, and that began, for all we know,
    at any minute of the last sixty. Before the first minute nobody spoke.
    """
    said = np.r_[np.zeros(HOUR), np.cumsum(np.r_[0.0, volume])]
    out = np.zeros((len(volume), len(rates)))
    for ago in range(HOUR):
        before = said[HOUR - ago:len(said) - 1 - ago]  # as the hour began
        silent = np.exp(-np.outer(said[HOUR:-1] - before, rates))
        out += silent - np.exp(-np.outer(said[HOUR + 1:] - before, rates))
    return out / HOUR


class Public:
    """One brand's public: its crowd, its volume and tilt minute by minute, its events, its truth."""

    def __init__(self, seed: int, number: int, name: str, per_minute: float, manner: Manner, minutes: int) -> None:
        self.seed, self.number, self.name, self.minutes, self._manner = seed, number, name, minutes, manner
        rng = np.random.default_rng([seed, number])
        self.crowd = crowd(rng, per_minute, manner)
        self.volume = _volume(rng, manner, minutes)
        self.tilt = _tilt(rng, manner, minutes)
        self.events = tuple(_events(rng, name, manner, minutes, per_minute))
        for event in self.events:
            self._happen(rng, event)

    def _happen(self, rng: np.random.Generator, event: Event) -> None:
        """Lets an event move volume and tilt; an attack does neither."""
        on, end, stop = event.on, event.end, event.stop
        if event.kind == "burst":
            self.volume[on:end] *= event.volume
        elif event.kind == "drift":
            shape = np.minimum((np.arange(self.minutes - on) + 1) / (end - on), 1)
            self.tilt[on:] += shape * self.crowd.tilt_for(event.size)
        elif event.kind in ("down", "up"):
            shape = _swing(rng, end - on, stop - end)[:self.minutes - on]
            self.tilt[on:stop] += shape * self.crowd.tilt_for(event.size, float(self.tilt[on]))
            self.volume[on:stop] *= 1 + (event.volume - 1) * shape

    @cached_property
    def truth(self) -> Expected:
        """What the votes estimate, minute by minute."""
        fresh = (1 - self._manner.copied) * (1 - self._manner.abstained)
        votes = votes_of(self.crowd.rates * fresh, self.volume) @ self.crowd.heads
        mood = moods(self.crowd.shares, np.add.outer(self.tilt, self.crowd.tilt))
        return Expected(votes.sum(axis=1), (votes * mood).sum(axis=1))

    def hours(self, draw: int = 0) -> Iterator[Rows]:
        """The rows of one hour after the other, by event; the same at each call. Another draw: other posts, same truth.
        """
        rng = np.random.default_rng([self.seed, self.number, 1, draw])
        cumulated = np.cumsum(self.crowd.rates[self.crowd.level])
        before = np.zeros(0, ROW)
        for first in range(0, self.minutes, HOUR):
            after = min(first + HOUR, self.minutes)
            rows = self._posts(rng, first, after, cumulated)
            self._copy(rng, rows, before)
            attacks = [self._attack(rng, event, first, after) for event in self.events if event.kind == "attack"]
            before = rows
            yield self._sent(rng, joined([rows, *attacks], ROW))

    def _posts(self, rng: np.random.Generator, first: int, after: int, cumulated: Floats) -> Rows:
        """Posts of the crowd, all of them new texts."""
        minute = np.repeat(np.arange(first, after), rng.poisson(cumulated[-1] * self.volume[first:after]))
        rows = _rows(rng, minute)
        author = np.searchsorted(cumulated, rng.random(len(rows)) * cumulated[-1], side="right")
        author = np.minimum(author, len(cumulated) - 1)
        mind = self.crowd.mind[author]
        rows["author"] = self.crowd.keys[author]
        rows["source"], rows["lang"] = self.crowd.source[mind], self.crowd.lang[mind]
        tilt = self.tilt[minute] + self.crowd.tilt[mind]
        down, up = self.crowd.shares[0] * np.exp(-tilt), self.crowd.shares[2] * np.exp(tilt)
        roll = rng.random(len(rows)) * (down + self.crowd.shares[1] + up)
        _score(rng, rows, 1 - (roll < down).astype(np.int64) + (roll > down + self.crowd.shares[1]))
        silent = rng.random(len(rows)) < self._manner.abstained
        rows["label"][silent], rows["score"][silent] = ABSTAINED, 0
        order = np.argsort(rows["event"], kind="stable")
        return rows[order]

    def _copy(self, rng: np.random.Generator, rows: Rows, before: Rows) -> None:
        """Lets some posts repeat a text: half of them one that was just said, half the text of the quarter hour."""
        copies = np.flatnonzero(rng.random(len(rows)) < self._manner.copied)
        origins = joined([before[before["kind"] == 0], np.delete(rows, copies)], ROW)
        seen_ms = rows["event"][copies] - rng.exponential(600_000, len(copies)).astype(np.int64)
        quarter = rng.random(len(copies)) < 0.5
        seen_ms = np.where(quarter, rows["event"][copies] // 900_000 * 900_000, seen_ms)
        at = np.searchsorted(origins["event"], seen_ms) - 1
        copies, at = copies[at >= 0], at[at >= 0]
        for name in ("dup", "label", "score", "lang"):
            rows[name][copies] = origins[name][at]
        rows["kind"][copies] = 2

    def _attack(self, rng: np.random.Generator, event: Event, first: int, after: int) -> Rows:
        """Negative copies of one to five texts by a small army; some are reworded, and pass for texts of their own."""
        own = np.random.default_rng([self.seed, self.number, event.on])
        army, texts = _keys(own, int(own.integers(20, 200))), _keys(own, int(own.integers(1, 6)))
        evasion = own.uniform(*self._manner.evasion)
        span = np.arange(max(first, event.on), min(after, event.end))
        rows = _rows(rng, np.repeat(span, rng.poisson(event.volume, len(span))))
        rows["author"] = rng.choice(army, len(rows))
        rows["dup"] = np.where(rng.random(len(rows)) < evasion, rows["dup"], rng.choice(texts, len(rows)))
        _score(rng, rows, np.zeros(len(rows), np.int64))
        return rows

    def _sent(self, rng: np.random.Generator, rows: Rows) -> Rows:
        """The rows with their arrival, by event."""
        late = rng.random(len(rows)) < self._manner.late
        rows["arrival"] = rows["event"] + np.where(late, rng.integers(0, 3_000_000, len(rows)),
                                                   rng.integers(0, 5_000, len(rows)))
        rows["brand"] = self.number
        return rows[np.argsort(rows["event"], kind="stable")]


def _rows(rng: np.random.Generator, minute: Ints) -> Rows:
    """New texts in these minutes."""
    rows = np.zeros(len(minute), ROW)
    rows["event"] = START_MS + minute * MINUTE_MS + rng.integers(0, MINUTE_MS, len(rows))
    rows["id"], rows["dup"] = _keys(rng, len(rows)), _keys(rng, len(rows))
    return rows


def _score(rng: np.random.Generator, rows: Rows, label: Ints) -> None:
    """Labels, and a score for each by its class."""
    rows["label"] = label
    score = CENTRES[label] + SPREADS[label] * rng.standard_normal(len(rows))
    rows["score"] = np.rint(np.clip(score, -1, 1) * UNIT)


def _volume(rng: np.random.Generator, manner: Manner, minutes: int) -> Floats:
    """Volume as a factor, mean 1: the day, the weekend, and what is irregular."""
    t = np.arange(minutes)
    log = rng.uniform(*manner.day) * np.cos(2 * math.pi * (t - rng.uniform(0, DAY)) / DAY)
    log += manner.rough * (_weekend(t) * math.log(rng.uniform(0.6, 1.1)) + _ar(rng, 0.25, HOUR, minutes))
    volume = np.exp(log)
    uneven = rng.gamma(20, 1 / 20, minutes) if manner.rough else 1.0
    return np.asarray(volume / volume.mean() * uneven)


def _tilt(rng: np.random.Generator, manner: Manner, minutes: int) -> Floats:
    """The tilt of the public's mood without events: the day, the weekend, and three kinds of noise."""
    t = np.arange(minutes)
    restless = 1.0 if manner.noise or manner.wander else 0.0
    k = manner.noise * rng.uniform(0.6, 1.4)
    tilt = restless * rng.uniform(0, 0.12) * np.cos(2 * math.pi * (t - rng.uniform(0, DAY)) / DAY)
    tilt += restless * rng.normal(0, 0.05) * _weekend(t)
    tilt += _ar(rng, 0.06 * manner.wander, (3 if manner.wander <= 1 else 1.5) * DAY, minutes)
    tilt += _ar(rng, 0.05 * k, rng.uniform(20, 90), minutes) + 0.03 * k * rng.standard_normal(minutes)
    return np.asarray(tilt)


def _ar(rng: np.random.Generator, sd: float, minutes: float, length: int) -> Floats:
    """A stationary autoregression of order one with this time constant."""
    phi = math.exp(-1 / minutes)
    steps = (rng.standard_normal(length) * math.sqrt(1 - phi * phi)).tolist()
    steps[0] /= math.sqrt(1 - phi * phi)
    return np.asarray(sd * np.array(list(accumulate(steps, lambda last, step: phi * last + step))))


def _weekend(t: Ints) -> Floats:
    today = START_MS // (DAY * MINUTE_MS) + (t + START_MS // MINUTE_MS % DAY) // DAY
    return np.where((today + 3) % 7 >= 5, 1.0, 0.0)  # the first day of all was a Thursday


def _events(rng: np.random.Generator, brand: str, manner: Manner, minutes: int, per_minute: float) -> Iterator[Event]:
    """Events, one after the other; none in the last day, none that overruns."""
    pace = manner.pace * DAY
    on = int(rng.uniform(0, pace / 1.4))
    while pace and on < minutes - pace / 1.4:
        event = _event(rng, brand, on, per_minute, manner.pace)
        if event.stop <= minutes:
            yield event
        on = event.stop + int(rng.uniform(0.35, 1.3) * pace)


def _event(rng: np.random.Generator, brand: str, on: int, per_minute: float, pace: float) -> Event:
    kind = str(rng.choice(KINDS, p=ODDS))
    if kind in ("down", "up"):
        end = on + int(rng.choice(RAMPS)) + int(rng.uniform(45, 360))
        volume = 1.0 if rng.random() < 0.4 else rng.uniform(1.5, 6)
        size = float(rng.choice(SIZES)) * (1 if kind == "up" else -1)
        return Event(brand, kind, on, end, end + TAIL * int(rng.uniform(20, 60)), size, volume)
    if kind == "burst":
        end = on + int(rng.uniform(15, 120))
        return Event(brand, kind, on, end, end + 30, 0.0, rng.uniform(5, 40))
    if kind == "attack":
        end = on + int(rng.uniform(20, 120))
        return Event(brand, kind, on, end, end + 60, 0.0, max(2.0, per_minute * rng.uniform(0.5, 4)))
    end = on + int(rng.uniform(1.5, 3) * DAY * min(pace / 1.4, 1))
    return Event(brand, kind, on, end, end, rng.uniform(0.15, 0.30) * float(rng.choice([-1, 1])))


def _swing(rng: np.random.Generator, lasts: int, tail: int) -> Floats:
    """How much of a swing is there, minute by minute: up a ramp, held, and ebbing away by halves."""
    ramp = int(rng.choice([one for one in RAMPS if one < lasts]))
    risen = np.minimum((np.arange(lasts) + 1) / ramp, 1)
    return np.concatenate([risen, 0.5 ** ((np.arange(tail) + 1) / (tail / TAIL))])


@dataclass
class People:
    """The public of some brands, minute by minute. `per_minute`: posts of each brand, in the mean over the time.

    The same for the same arguments. Another `draw` lets the same authors speak anew: other posts, the same truth.
    """

    seed: int
    brands: Sequence[str]
    per_minute: float = 5.0
    manner: Manner = field(default_factory=Manner)
    hours: int = 24
    draw: int = 0

    @cached_property
    def publics(self) -> tuple[Public, ...]:
        """Each brand's public, in the order of `brands`."""
        return tuple(Public(self.seed, number, name, self.per_minute, self.manner, self.hours * HOUR)
                     for number, name in enumerate(self.brands))

    @property
    def events(self) -> list[Event]:
        """What happens to all brands, by time."""
        return sorted((event for public in self.publics for event in public.events), key=lambda event: event.on)

    def truth(self, brand: str) -> Expected:
        """What the votes on a brand estimate, minute by minute since the beginning."""
        return self.publics[self.brands.index(brand)].truth

    def __iter__(self) -> Iterator[tuple[int, Rows]]:
        """Minutes since the beginning, and the rows dated in each: by event, `brand` a place in `brands`."""
        first = count = 0
        for parts in zip(*(public.hours(self.draw) for public in self.publics), strict=True):
            rows = joined(parts, ROW)
            rows = rows[np.argsort(rows["event"], kind="stable")]
            rows["offset"] = np.arange(count, count + len(rows))
            count += len(rows)
            cuts = np.searchsorted(rows["event"], START_MS + MINUTE_MS * np.arange(first, first + HOUR + 1))
            for at in range(HOUR):
                yield first + at, rows[cuts[at]:cuts[at + 1]]
            first += HOUR

    def frames(self) -> Iterator[bytes]:
        """One frame for each minute: what arrived in it, once or twice, and the mark that it is over."""
        rng = np.random.default_rng([self.seed, 2, self.draw])
        names = Names(tuple(self.brands), SOURCES, LANGS, ("people",), ("any",))
        waiting = np.zeros(0, ROW)
        for minute, rows in self:
            end_ms = START_MS + (minute + 1) * MINUTE_MS
            waiting = joined([waiting, rows], ROW)
            due = waiting["arrival"] < end_ms
            said, waiting = waiting[due], waiting[~due]
            again = said[rng.random(len(said)) < self.manner.twice]
            yield pack(Frame(names, joined([said, again], ROW), np.zeros(0, FLOOR), (Mark(0, end_ms - 1),)))
