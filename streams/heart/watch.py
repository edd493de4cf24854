"""Watch: closed minutes in, steps of incidents out. Where the tests, the reasons and the words for them come together.

    minute ──▶ detector, on votes and on all posts ─┐
           ──▶ volume                                ├──▶ incidents: opened, risen, closed, withdrawn
           ──▶ what is usual: segments, copies ──────┘

A brand has two series in the detector. Votes say whether the many have turned; all posts, copies included, say whether
somebody wants it to look so. A swing of all posts that votes do not share is told only when copies or a few loud
accounts make it, and as coordinated. A brand's first minute is its first mention that was on time, so what is told does
not depend on when the others began, nor on which partition it shares with them.
What a step says follows from the minutes alone, and from the facts that had arrived when the minute closed.
Knows nothing of frames, slices, Kafka, clocks or texts.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from streams.heart.chance import ONSET_MINUTES, by_chance
from streams.heart.incident import Cause, Copies, Part, Standing, Step, Swing
from streams.heart.minute import MINUTE_MS, Ints, Minute
from streams.heart.packed import pack, unpack
from streams.heart.pane import UNIT, Rows
from streams.heart.reasons import Posts, authenticity, causes, concentration, copied, parts, ranked, yardstick
from streams.heart.swing import Detector, Knobs, Turn
from streams.heart.usual import Dimension, Usual
from streams.heart.volume import Spike, Volume, VolumeKnobs
from streams.heart.window import Z95

ASLEEP = 10_080  # minutes without a mention: then a brand is forgotten, and begins anew
COMPLETE = 0.9  # of the usual votes whose source was healthy; below it a minute is neither tested nor learned
WORDS = ((0.30, 3), (0.15, 2), (0.0, 1))  # effect -> severe, serious, notice
MIXED = -1  # no ruler of its own: two were at work
FAR = 3.0  # times the usual votes: one step more severe
THIN = 0.5  # authentic share below it: one step less
LOUD = ((8.0, 3), (4.0, 2), (0.0, 1))  # times the usual volume


class Names(NamedTuple):
    """The names behind the numbers in minutes and rows: the lists of whoever makes them, which grow."""

    brands: Sequence[str]
    sources: Sequence[str]
    langs: Sequence[str]


class Window(NamedTuple):
    """Votes in a window, or all scored posts, as known when it was tested; and what is left of them now: not what came
    late. Sums of x in 1/10,000.
    """

    n: int
    total: int
    n_left: int
    total_left: int


class Held(Protocol):
    """What only whoever keeps the rows can answer. Minutes [first, after)."""

    def said(self, brand: int, first: int, after: int) -> Rows:
        """The on-time scored mentions of a brand."""

    def remaining(self, brand: int, first: int, after: int, known_ms: int, of_posts: bool) -> Window | None:
        """The votes, or `of_posts` all scored posts, then and by what had arrived before `known_ms`; None where the
        rows are gone.
        """


@dataclass
class _Incident:
    """One that is open: its last step, and what the next will need."""

    swing: Swing
    series: int  # of the detector, or of the volume
    fired: int  # minute
    first: Turn | None = None
    sigma2: float = 0.45
    step: int = 1
    unheard: int = 0

    def next(self, state: Step, minute: int, **changes: object) -> Swing:
        """The next step. Number 1 is kept for `explained`, whoever makes it."""
        self.step += 1
        self.swing = msgspec.structs.replace(self.swing, state=state, step=self.step, at_ms=_end_ms(minute),
                                             unheard=self.unheard, **changes)
        return self.swing


@dataclass
class _Brand:
    number: int
    ruler: int | None = None
    mood: _Incident | None = None
    volume: _Incident | None = None


class _State(NamedTuple):
    detector: bytes
    volume: bytes
    usual: bytes
    brands: list[_Brand]
    last: Ints
    numbers: Ints
    series: Ints


class Watch:
    """The incidents of all brands of a partition. `step` it minute by minute."""

    def __init__(self, names: Names, knobs: Knobs | None = None, volume: VolumeKnobs | None = None) -> None:
        self._names = names
        self._detector, self._volume = Detector(knobs), Volume(volume)
        self._usual = Usual()
        self._brands: list[_Brand] = []  # by series
        self._last: Ints = np.zeros(0, np.int64)  # series -> the last minute in which it was mentioned
        self._numbers: Ints = np.zeros(0, np.int64)  # series -> brand
        self._series: Ints = np.zeros(0, np.int64)  # brand -> series; -1: none of its own yet

    # Rest and return.

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        return pack(_State(self._detector.snapshot(), self._volume.snapshot(), self._usual.snapshot(),
                           self._brands, self._last, self._numbers, self._series))

    @classmethod
    def restore(cls, data: bytes, names: Names) -> "Watch":
        """The one that made a snapshot, over the names that it had. Raises `BrokenPromise` for other bytes."""
        watch = cls(names)
        state = unpack(data, _State)
        watch._detector, watch._volume = Detector.restore(state.detector), Volume.restore(state.volume)
        watch._usual = Usual.restore(state.usual)
        watch._brands, watch._last, watch._numbers, watch._series = state[3:]
        return watch

    # A minute.

    def step(self, minute: Minute, sick: frozenset[int], held: Held) -> list[Swing]:
        """Takes a minute; returns the steps of its incidents, of mood and then of volume, each by brand. `sick`:
        sources that were not healthy in it.
        """
        self._wake(minute)
        if not self._brands:
            return []
        at = self._series[minute.brand]
        sums = np.zeros((2 * len(self._brands), 4), np.int64)
        mentions = np.zeros(len(self._brands), np.int64)
        sums[2 * at], sums[2 * at + 1], mentions[at] = minute.votes, minute.raw, minute.mentions
        self._look_at_rulers(at, minute.rulers)
        tested = self._usual.complete(self._numbers, sick) >= COMPLETE
        self._mark(tested)
        turns = self._detector.step(minute.number, sums, np.repeat(tested, 2))
        spikes = self._volume.step(minute.number, mentions, tested)
        self._usual.step(minute, self._series, tested, self._detector.learned[::2], self._detector.knobs.lag)
        return self._told(minute.number, turns, spikes, held)

    def _mark(self, tested: npt.NDArray[np.bool_]) -> None:
        """Time goes on for what is open while a source is sick; that nothing was tested meanwhile, its steps say."""
        for series in np.flatnonzero(~tested).tolist():
            for incident in (self._brands[series].mood, self._brands[series].volume):
                if incident is not None:
                    incident.unheard += 1

    def is_idle(self, minute: int) -> bool:
        """Whether all brands are asleep: minutes without a mention may be left out."""
        return not len(self._last) or minute - int(self._last.max()) >= ASLEEP

    def skip(self, minute: int) -> None:
        """Goes on with this minute. Only while idle."""
        self._detector.skip(minute)
        self._volume.skip(minute)

    def _wake(self, minute: Minute) -> None:
        """Brands that are mentioned for the first time, or for the first time in a week, begin anew."""
        highest = int(minute.brand[-1]) + 1 if len(minute.brand) else 0
        if highest > len(self._series):
            self._series = np.concatenate([self._series, np.full(highest - len(self._series), -1)])
        fresh = minute.brand[self._series[minute.brand] < 0].astype(np.int64)
        if len(fresh):
            self._series[fresh] = np.arange(len(self._brands), len(self._brands) + len(fresh))
            self._numbers = np.concatenate([self._numbers, fresh])
            self._last = np.concatenate([self._last, np.full(len(fresh), minute.number)])
            self._brands += [_Brand(brand) for brand in fresh.tolist()]
            self._detector.grow(2 * len(self._brands))
            self._volume.grow(len(self._brands))
            self._usual.grow(len(self._brands))
        at = self._series[minute.brand]
        slept = at[minute.number - self._last[at] >= ASLEEP]
        if len(slept):
            self._detector.reset([*(2 * slept), *(2 * slept + 1)])
            self._volume.reset(slept.tolist())
            self._usual.reset(slept, self._numbers[slept])
            for series in slept.tolist():
                self._brands[series] = _Brand(self._brands[series].number)
        self._last[at] = minute.number

    def _look_at_rulers(self, at: Ints, rulers: Ints) -> None:
        """Another model or another rule: nothing that it measures may be called a swing until its level is known."""
        for series, (low, high) in zip(at.tolist(), rulers.tolist(), strict=True):
            brand = self._brands[series]
            if brand.ruler is not None and (low, high) != (brand.ruler, brand.ruler):
                self._detector.hush(2 * series)
                self._detector.hush(2 * series + 1)
                self._volume.hush(series)
                self._usual.reset(np.array([series]), self._numbers[series:series + 1])
            brand.ruler = high if low == high else MIXED

    # What is told.

    def _told(self, minute: int, turns: Sequence[Turn], spikes: Sequence[Spike], held: Held) -> list[Swing]:
        steps: list[Swing] = []
        by_series: dict[int, list[Turn]] = {}
        for turn in turns:
            by_series.setdefault(turn.series, []).append(turn)
        touched = {turn.series // 2 for turn in turns} | {spike.series for spike in spikes}
        touched |= set((np.flatnonzero(self._detector.on) // 2).tolist())
        for series in sorted(touched, key=self._name):
            votes, raw = by_series.get(2 * series, []), by_series.get(2 * series + 1, [])
            steps += self._mood(series, minute, (votes, raw), held)
        for spike in sorted(spikes, key=lambda spike: self._name(spike.series)):
            steps += self._loudness(spike, minute)
        for series in sorted((at for at, brand in enumerate(self._brands) if brand.volume), key=self._name):
            steps += self._louder(series, minute)
        return steps

    def _name(self, series: int) -> str:
        return self._names.brands[self._brands[series].number]

    def _mood(self, series: int, minute: int, turns: tuple[list[Turn], list[Turn]],
              held: Held) -> list[Swing]:
        brand, steps = self._brands[series], list[Swing]()
        votes, raw = turns
        for turn in [*raw, *votes]:
            steps += self._ended(brand, turn, minute)
        for turn in votes:
            if turn.kind == "fired":
                steps += self._fired(brand, turn, minute, held)
        if brand.mood is None:
            steps += self._only_raw(brand, series, minute, raw, held)
        elif not steps:
            steps += self._followed(brand, brand.mood, minute, held)
        return steps

    def _ended(self, brand: _Brand, turn: Turn, minute: int) -> list[Swing]:
        incident = brand.mood
        if incident is None or turn.kind == "fired" or turn.series != incident.series:
            return []
        brand.mood = None
        return [incident.next(Step.CLOSED, minute, ended=turn.kind, peak=_farther(incident.swing.peak, turn.peak))]

    def _fired(self, brand: _Brand, turn: Turn, minute: int, held: Held) -> list[Swing]:
        steps, incident = [], brand.mood
        direction = "down" if turn.sign < 0 else "up"
        if incident is not None and incident.swing.direction != direction:
            steps.append(incident.next(Step.CLOSED, minute, ended="turned"))
            brand.mood = incident = None
        fresh = self._opened(brand, turn, minute, held)
        if incident is None:
            brand.mood = fresh
            return [*steps, fresh.swing]
        # All posts had said so before, and now votes do: it is the same incident, seen better. How severe copies were
        # says nothing of how far votes have moved.
        severity = fresh.swing.severity
        if incident.swing.authenticity != "coordinated" or fresh.swing.authenticity == "coordinated":
            severity = max(severity, incident.swing.severity)
        incident.series, incident.fired = fresh.series, fresh.fired
        incident.first, incident.sigma2 = fresh.first, fresh.sigma2
        return [*steps, incident.next(Step.RISEN, minute, **{**_whole(fresh.swing), "severity": severity})]

    def _only_raw(self, brand: _Brand, series: int, minute: int, raw: list[Turn],
                  held: Held) -> list[Swing]:
        """All posts have turned and votes have not: told when copies or a few accounts make it."""
        at = 2 * series + 1
        if not self._detector.on[at] or self._detector.on[at] == self._detector.on[2 * series]:
            return []
        turn = next((turn for turn in raw if turn.kind == "fired"), None) or self._detector.standing(at)
        if abs(turn.z) < self._detector.knobs.threshold:  # it began so long ago that it says nothing of now
            return []
        fresh = self._opened(brand, turn, minute, held)
        if fresh.swing.authenticity != "coordinated":
            return []
        brand.mood = fresh
        return [fresh.swing]

    def _opened(self, brand: _Brand, turn: Turn, minute: int, held: Held) -> _Incident:
        series, stats = turn.series // 2, self._detector.stats
        assert stats is not None
        name = self._names.brands[brand.number]
        first, after = minute - turn.window + 1, minute + 1
        said = held.said(brand.number, first, after)
        copies = self._copies(series, turn, said)
        word = authenticity(copies, turn.series % 2 == 0, bool(self._detector.on[2 * series + 1] == turn.sign),
                            self._usual.copied(series))
        split, named, (before, change) = self._split(brand.number, turn, said)
        votes, posts = self._counts(series, turn)
        expected = float(self._volume.expected(minute, turn.window)[series]) * self._usual.votes_per_mention(series)
        reach = votes / expected if expected > 0 else 1.0
        half = Z95 * math.sqrt(turn.variance)
        extra = self._detector.knobs.contrast_extra if turn.is_contrast else 0.0
        weeks, bound = by_chance(abs(turn.z) - extra, turn.weather)
        smallest = float(self._detector.smallest(turn.sign)[turn.series])
        early, late = ONSET_MINUTES
        swing = Swing(
            id=incident_id("mood", name, turn), step=0, state=Step.OPENED, series="mood", brand=name,
            direction="down" if turn.sign < 0 else "up", severity=_severity(turn.d, reach, copies.authentic),
            at_ms=_end_ms(minute), onset_ms=turn.onset * MINUTE_MS, onset_from_ms=(turn.onset + early) * MINUTE_MS,
            onset_to_ms=min((turn.onset + late) * MINUTE_MS, _end_ms(minute)), window_min=turn.window,
            now=turn.usual + turn.d, usual=turn.usual, effect=turn.d, lower=max(turn.d - half, -2.0),
            upper=min(turn.d + half, 2.0), z=turn.z, votes=votes, mentions=posts,
            authors=len(np.unique(said["author"])), reach=reach, smallest=0.0 if math.isnan(smallest) else smallest,
            chance_weeks=weeks, chance_is_bound=bound, authenticity=word, copies=copies, parts=split, causes=named,
            before=before, change=change, peak=turn.d)
        return _Incident(swing, turn.series, minute, turn, float(stats.sigma2[turn.series]))

    def _copies(self, series: int, turn: Turn, said: Rows) -> Copies:
        stats, place = self._detector.stats, self._detector.knobs.windows.index(turn.window)
        assert stats is not None
        votes, posts = self._counts(series, turn)
        usual = self._usual.votes_per_post(series)
        share, top = copied(said["dup"])
        loud = concentration(said["author"])
        return Copies(min(1.0, votes / posts / usual) if posts else 1.0, usual, share, top, loud.top, loud.effective,
                      float(stats.z[2 * series + 1, place]))

    def _counts(self, series: int, turn: Turn) -> tuple[int, int]:
        """Votes and scored posts of the leading window, whichever of the two fired."""
        stats, place = self._detector.stats, self._detector.knobs.windows.index(turn.window)
        assert stats is not None
        return int(stats.n[2 * series, place]), int(stats.n[2 * series + 1, place])

    def _split(
        self, brand: int, turn: Turn, said: Rows
    ) -> tuple[tuple[Part, ...], tuple[Cause, ...], tuple[float, float]]:
        """The change by source and by language, the ranking of what made it, and what that is measured by."""
        said_by = {"source": Dimension(8, self._names.sources), "language": Dimension(0, self._names.langs)}
        sums = {name: self._usual.split(brand, by, turn.window, bool(turn.series % 2)) for name, by in said_by.items()}
        split: list[Part] = []
        for name, (before, now) in sums.items():
            split += parts(before, now, turn.usual, name)
        posts = self._posts(brand, said)
        return tuple(split), ranked(causes(sums, posts), self._pasted(turn)), yardstick(sums, posts)

    def _pasted(self, turn: Turn) -> list[Cause]:
        """Of a change of all posts, what goes when only votes count."""
        stats, place = self._detector.stats, self._detector.knobs.windows.index(turn.window)
        assert stats is not None
        if not turn.series % 2:
            return []
        voted = float(stats.mu[turn.series - 1] + stats.d[turn.series - 1, place])
        return [Cause("copies", "", (turn.usual + turn.d - voted) / turn.d)]

    def _posts(self, brand: int, said: Rows) -> Posts | None:
        before = self._usual.posts(int(self._series[brand]))
        if not len(said) or before is None:
            return None
        author, place = np.unique(said["author"], return_inverse=True)
        counts = np.bincount(place, minlength=len(author))
        scores = np.bincount(place, said["score"] / UNIT, minlength=len(author))
        loudest = int(np.argmax(counts))
        return Posts(before, (len(said), float(scores.sum())), (int(counts[loudest]), float(scores[loudest])))

    def _followed(self, brand: _Brand, incident: _Incident, minute: int, held: Held) -> list[Swing]:
        """Once a minute while it is open: does it still stand, has it grown?"""
        gone = self._is_gone(brand, incident, minute, held)
        if gone:
            brand.mood = None
            self._calm(incident)
            return [incident.next(Step.WITHDRAWN, minute, ended="withdrawn")]
        turn = self._detector.standing(incident.series)
        if turn.n < self._detector.knobs.votes or turn.d * turn.sign <= abs(incident.swing.peak):
            return []
        incident.swing = msgspec.structs.replace(incident.swing, peak=turn.d)
        if _of(WORDS, abs(turn.d)) <= _of(WORDS, abs(incident.swing.effect)):
            return []
        fresh = self._opened(brand, turn, minute, held).swing
        if fresh.severity <= incident.swing.severity:
            return []
        return [incident.next(Step.RISEN, minute, **_whole(fresh))]

    def _calm(self, incident: _Incident) -> None:
        """What votes and all posts say of it is gone with the posts."""
        sign = -1 if incident.swing.direction == "down" else 1
        for series in (incident.series & ~1, incident.series | 1):
            if self._detector.on[series] == sign:
                self._detector.calm(series)

    def _is_gone(self, brand: _Brand, incident: _Incident, minute: int, held: Held) -> bool:
        """Whether removals and edits have taken away what it rested on, and what is said now would be no swing either.
        """
        stats, of_posts, now_ms = self._detector.stats, bool(incident.series % 2), _end_ms(minute)
        if incident.first is None or minute == incident.fired or stats is None:
            return False
        for turn, sigma2, at in ((incident.first, incident.sigma2, incident.fired),
                                 (self._detector.standing(incident.series), stats.sigma2[incident.series], minute)):
            left = held.remaining(brand.number, at - turn.window + 1, at + 1, now_ms, of_posts)
            if left is None or self._stands(turn, float(sigma2), left):
                return False
        return True

    def _stands(self, turn: Turn, sigma2: float, left: Window) -> bool:
        """Whether a window would still be a swing by what is left of it. As for its end, half of what it takes to fire:
        one removal more or less is no end of a swing.
        """
        knobs = self._detector.knobs
        if not left.n:
            return turn.n >= knobs.votes / 2
        n = turn.n * left.n_left / left.n
        if n < knobs.votes / 2:
            return False
        d = turn.d + left.total_left / left.n_left / UNIT - left.total / left.n / UNIT
        variance = turn.variance + sigma2 * (1 / n - 1 / turn.n)
        return d * turn.sign >= knobs.floor and abs(d) / math.sqrt(variance) >= knobs.threshold / 2

    # Volume.

    def _loudness(self, spike: Spike, minute: int) -> list[Swing]:
        brand = self._brands[spike.series]
        if spike.kind != "fired":
            incident, brand.volume = brand.volume, None
            if incident is None:
                return []
            peak = max(incident.swing.peak, spike.peak - incident.swing.usual)
            return [incident.next(Step.CLOSED, minute, ended=spike.kind, peak=peak)]
        name = self._names.brands[brand.number]
        swing = Swing(
            id=incident_id("volume", name, spike), step=0, state=Step.OPENED, series="volume", brand=name,
            direction="up", at_ms=_end_ms(minute), onset_ms=spike.onset * MINUTE_MS,
            onset_from_ms=spike.onset * MINUTE_MS, onset_to_ms=spike.onset * MINUTE_MS, votes=0, authors=0,
            smallest=0.0, chance_weeks=0.0, chance_is_bound=True, **_loud(spike))
        brand.volume = _Incident(swing, spike.series, minute)
        return [swing]

    def _louder(self, series: int, minute: int) -> list[Swing]:
        """A spike fires as it begins; how far it goes is told when it is more severe."""
        incident, spike = self._brands[series].volume, self._volume.standing(series)
        assert incident is not None
        if spike.now <= spike.usual or _of(LOUD, _reach(spike)) <= incident.swing.severity:
            return []
        return [incident.next(Step.RISEN, minute, **_loud(spike))]

    # What stands.

    def open(self) -> tuple[Swing, ...]:
        """The last step of every incident that goes on, by brand."""
        found = [one.swing for brand in self._brands for one in (brand.mood, brand.volume) if one is not None]
        return tuple(sorted(found, key=lambda swing: (swing.brand, swing.series)))

    def standing(self) -> dict[str, Standing]:
        """How every brand stands now."""
        ready = self._detector.ready & ~self._detector.hushed
        smallest = np.fmin(self._detector.smallest(-1), self._detector.smallest(1))
        out = {}
        for series, brand in enumerate(self._brands):
            severity = dict.fromkeys(("down", "up", "volume", "coordinated"), 0)
            for one in (brand.mood, brand.volume):
                if one is not None:
                    swing = one.swing
                    what = "volume" if swing.series == "volume" else swing.direction
                    severity["coordinated" if swing.authenticity == "coordinated" else what] = swing.severity
            is_ready, least = bool(ready[2 * series]), float(smallest[2 * series])
            out[self._name(series)] = Standing(
                **severity, is_ready=is_ready, smallest=least if is_ready and not math.isnan(least) else None,
                swing=brand.mood.swing if brand.mood else None)
        return out


# All that a step says of the moment; the others say which incident it is.
_RETOLD = ("severity", "window_min", "now", "usual", "effect", "lower", "upper", "z", "votes", "mentions", "authors",
           "reach", "smallest", "chance_weeks", "chance_is_bound", "authenticity", "copies", "parts", "causes",
           "before", "change", "peak")


def _whole(fresh: Swing) -> dict[str, object]:
    """What an incident takes over when it is told anew: all figures of one moment, so that they agree."""
    return {name: getattr(fresh, name) for name in _RETOLD}


def _reach(spike: Spike) -> float:
    """How many times the usual is said."""
    return spike.now / max(spike.usual, 1e-9)


def _loud(spike: Spike) -> dict[str, Any]:
    """The figures of a spike, all of one moment."""
    size, reach = spike.now - spike.usual, _reach(spike)
    half = Z95 * size / spike.z
    return {"severity": _of(LOUD, reach), "window_min": spike.window, "now": spike.now, "usual": spike.usual,
            "effect": size, "lower": size - half, "upper": size + half, "z": spike.z, "mentions": spike.mentions,
            "reach": reach, "peak": size}


def incident_id(series: str, brand: str, turn: Turn | Spike) -> str:
    """One incident, one id, whoever computes it: series, brand, direction, onset and minute of the alert."""
    sign = turn.sign if isinstance(turn, Turn) else 1
    said = f"{series}/{brand}/{sign}/{turn.onset}/{turn.minute}"
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def _end_ms(minute: int) -> int:
    return (minute + 1) * MINUTE_MS


def _farther(a: float, b: float) -> float:
    return a if abs(a) >= abs(b) else b


def _of(steps: Iterable[tuple[float, int]], size: float) -> int:
    return next(word for least, word in steps if size >= least)


def _severity(effect: float, reach: float, authentic: float) -> int:
    """1 notice, 2 serious, 3 severe: by the effect, more where many speak, less where few votes stand behind it."""
    return min(max(_of(WORDS, abs(effect)) + (reach >= FAR) - (authentic < THIN), 1), 3)
