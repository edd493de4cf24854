"""Streams: the minutes of made-up brands, as the detector gets them, and the truth about them.

    volume x mood ──▶ posts by class ──▶ sums n, s, q, c of a minute: raw, every post; votes, copies left out
       ▲      ▲
       └──┬───┘
        events        swings to be found; bursts, drifts, attacks, gaps to be silent about

Each brand is drawn from a generator of its own, `[seed, brand]`, so it is the same beside any other brands. A natural
post is one vote: how votes are found is not exercised here. Scores are normal by class and clipped to [-1, 1]; up to
`EXACT` posts of a class in a minute are drawn one by one, more than that by the normal approximation to the three sums
(their means and covariances are right; the skew of a sum of 25 or more is not drawn).

Knows nothing of detectors.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY = 1440
WEEK = 7 * DAY
SCALE = 10_000  # of a score: sums are whole numbers
EXACT = 24  # posts of one class in a minute that are drawn one by one
MEANS, SPREADS = (-0.72, 0.0, 0.72), (0.20, 0.15, 0.20)  # negative, neutral, positive
LIMIT = 0.67  # of net mood: with it nearly all posts are of one class
LOGS = math.log(10_080 / 0.1)  # one false alarm in ten weeks of minutes (Lorden)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a brand. Minutes; `[on, end)` is its body, `stop` the end of its tail.

    `size`, `sign`: of a swing or a drift. `factor`: of the volume. `copies`: a minute, `evasion`: the share of them
    that passes for votes. `floor`: minutes that an oracle needs to see it; None: it never does.
    """

    kind: str  # swing, burst, drift, attack, boil, loud, outage, gap, replay
    on: int
    end: int
    stop: int
    sign: int = 0
    size: float = 0.0
    factor: float = 1.0
    copies: float = 0.0
    evasion: float = 0.0
    clusters: int = 0
    floor: int | None = None

    @property
    def detectable(self) -> bool:
        """Could an oracle see it before half of it is over?"""
        return self.floor is not None and self.floor <= (self.end - self.on) / 2


class Preset(NamedTuple):
    """A kind of public. `noise`, `wander`: of the mood, 1 is calm. `kinds`: what happens, by probability."""

    noise: float
    wander: float
    kinds: Mapping[str, float]
    rates: tuple[float, ...] = (1, 5, 30, 200, 1000, 5000)  # posts a minute, one brand after the other
    evasion: tuple[float, ...] = (0.03,)
    late: float = 0.0  # share of posts that the detector never sees


_USUAL = {"down": 0.30, "up": 0.15, "burst": 0.20, "attack": 0.20, "drift": 0.15}


def _mostly(kind: str) -> dict[str, float]:
    return {kind: 0.6, "down": 0.25, "up": 0.15}


PRESETS: dict[str, Preset] = {
    "calm": Preset(1, 1, _USUAL),
    "noisy-real": Preset(2, 3, _USUAL),
    "noisy": Preset(4, 4, _USUAL),
    "thin": Preset(1, 1, _USUAL, rates=(0.05, 0.1, 0.25, 0.5, 1, 2)),
    "null-calm": Preset(1, 1, {}),
    "null-noisy-real": Preset(2, 3, {}),
    "evasion": Preset(1, 1, _mostly("attack"), evasion=(0.0, 0.05, 0.10, 0.20)),
    "slow-boil": Preset(1, 1, _mostly("boil"), evasion=(0.0, 0.05, 0.10)),
    "loud": Preset(1, 1, _mostly("loud")),
    "amplified": Preset(1, 1, {"amplified": 0.6, "attack": 0.4}),
    "outage": Preset(1, 1, _mostly("outage")),
    "gap": Preset(1, 1, _mostly("gap")),
    "replay": Preset(1, 1, _mostly("replay")),
    "late": Preset(1, 1, _USUAL, late=0.30),
}


@dataclass(frozen=True, slots=True)
class Streams:
    """The minutes of some brands side by side. Sums are n, s, q, c, scores in 1/10,000.

    `classes`: negative and positive posts among the raw ones. `tested` False: the minute is unclean.
    """

    preset: str
    votes: Ints  # minutes, brands, 4
    raw: Ints
    classes: Ints  # minutes, brands, 2
    tested: NDArray[np.bool_]  # minutes, brands
    events: tuple[tuple[Event, ...], ...]  # by brand, in order
    rates: tuple[float, ...]  # posts a minute, by brand

    @property
    def minutes(self) -> int:
        """How long they are, the warm-up week included."""
        return len(self.votes)

    @property
    def brands(self) -> int:
        """How many brands there are."""
        return len(self.rates)

    @property
    def weeks(self) -> float:
        """Scored weeks of all brands together."""
        return self.brands * (self.minutes - WEEK) / WEEK

    def save(self, path: Path) -> None:
        """Writes them as one npz file."""
        told = [[asdict(event) for event in brand] for brand in self.events]
        np.savez(path, preset=self.preset, votes=self.votes, raw=self.raw, classes=self.classes, tested=self.tested,
                 rates=self.rates, events=json.dumps(told))

    @classmethod
    def load(cls, path: Path) -> "Streams":
        """Reads what `save` wrote."""
        with np.load(path) as file:
            events = tuple(tuple(Event(**event) for event in brand) for brand in json.loads(str(file["events"])))
            return cls(str(file["preset"]), file["votes"], file["raw"], file["classes"], file["tested"], events,
                       tuple(file["rates"].tolist()))


def make(preset: str, seed: int, brands: int = 36, weeks: int = 4, first: int = 0) -> Streams:
    """Brands `first` and after of a preset: one week to warm up and `weeks` to be scored."""
    made = [_brand(PRESETS[preset], [seed, brand], (1 + weeks) * WEEK) for brand in range(first, first + brands)]
    votes, raw, classes, tested = (np.stack([getattr(brand, name) for brand in made], axis=1)
                                   for name in ("votes", "raw", "classes", "tested"))
    return Streams(preset, votes, raw, classes, tested, tuple(brand.events for brand in made),
                   tuple(brand.rate for brand in made))


def cached(folder: Path, preset: str, seed: int, brands: int = 36, weeks: int = 4) -> Streams:
    """The same as `make`, read from a folder if it was made before."""
    path = folder / f"{preset}-{seed}-{brands}-{weeks}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(preset, seed, brands, weeks).save(path)
    return Streams.load(path)


def join(parts: Sequence[Streams]) -> Streams:
    """The brands of several streams side by side: one detector over many is quicker than many over few."""
    votes, raw, classes, tested = (np.concatenate([getattr(part, name) for part in parts], axis=1)
                                   for name in ("votes", "raw", "classes", "tested"))
    return Streams("+".join(dict.fromkeys(part.preset for part in parts)), votes, raw, classes, tested,
                   tuple(brand for part in parts for brand in part.events),
                   tuple(rate for part in parts for rate in part.rates))


# -- noise ------------------------------------------------------------------------------------------------------------


def ar(rng: np.random.Generator, minutes: int, spread: float, memory: float) -> Floats:
    """A stationary AR(1) of standard deviation `spread`, phi = exp(-1/memory).

    The sum over the past is doubled: phi^0..phi^(2^k - 1), so sixteen passes do for a month.
    """
    phi = math.exp(-1 / memory)
    drawn = rng.standard_normal(minutes) * spread
    drawn[1:] *= math.sqrt(1 - phi * phi)
    step = 1
    while step < minutes and phi**step > 1e-12:
        drawn[step:] += phi**step * drawn[:-step]
        step *= 2
    return drawn


def _weekend(minutes: int) -> NDArray[np.bool_]:
    return np.arange(minutes) // DAY % 7 >= 5


def _daily(rng: np.random.Generator, minutes: int, height: float) -> Floats:
    return np.asarray(height * np.cos(2 * np.pi * (np.arange(minutes) - rng.uniform(0, DAY)) / DAY))


def _volume(rng: np.random.Generator, minutes: int, rate: float) -> Floats:
    """Expected posts a minute: the hour of the day, the weekend, and an hour's ups and downs."""
    logs = _daily(rng, minutes, rng.uniform(0.5, 1.1))
    logs += _weekend(minutes) * math.log(rng.uniform(0.6, 1.1))
    logs += ar(rng, minutes, 0.25, 60)
    grown = np.exp(logs)
    return np.asarray(rate * grown / grown.mean())


def _slow(rng: np.random.Generator, minutes: int, wander: float) -> Floats:
    """The tilt's weather of hours and days."""
    slow = _daily(rng, minutes, rng.uniform(0, 0.12))
    slow += _weekend(minutes) * rng.normal(0, 0.05)
    return slow + ar(rng, minutes, 0.06 * wander, (3 if wander == 1 else 1.5) * DAY)


def _fast(rng: np.random.Generator, minutes: int, noise: float) -> Floats:
    """The tilt's weather of minutes."""
    noise = noise * rng.uniform(0.6, 1.4)
    return ar(rng, minutes, 0.05 * noise, rng.uniform(20, 90)) + rng.normal(0, 0.03 * noise, minutes)


# -- scores -----------------------------------------------------------------------------------------------------------


def _moments(kind: int) -> Floats:
    """E x^1 .. E x^6 of a class: a normal clipped to [-1, 1]."""
    grid = np.linspace(-8, 8, 160_001)
    weight = np.exp(-grid * grid / 2)
    score = np.clip(MEANS[kind] + SPREADS[kind] * grid, -1, 1)
    return np.array([float((weight * score**power).sum() / weight.sum()) for power in range(1, 7)])


_MOMENTS = [_moments(kind) for kind in range(3)]
MEAN_OF = np.array([moments[0] for moments in _MOMENTS])  # what a class says, clipped


def _scores(rng: np.random.Generator, counts: Ints, kind: int) -> Ints:
    """The sums s, q, c of so many posts of a class, for each minute."""
    sums = np.zeros((len(counts), 3), np.int64)
    few = (counts > 0) & (counts <= EXACT)
    if few.any():
        sums[few] = _exact(rng, counts[few], kind)
    many = counts > EXACT
    if many.any():
        sums[many] = _normal(rng, counts[many], kind)
    return sums


def _exact(rng: np.random.Generator, counts: Ints, kind: int) -> Ints:
    drawn = np.clip(rng.normal(MEANS[kind], SPREADS[kind], int(counts.sum())), -1, 1)
    whole = np.rint(drawn * SCALE).astype(np.int64)
    starts = np.cumsum(counts) - counts
    return np.stack([np.add.reduceat(whole**power, starts) for power in (1, 2, 3)], axis=1)


def _normal(rng: np.random.Generator, counts: Ints, kind: int) -> Ints:
    moments = _MOMENTS[kind]
    cov = np.array([[moments[i + j + 1] - moments[i] * moments[j] for j in range(3)] for i in range(3)])
    n = counts[:, None].astype(np.float64)
    drawn = n * moments[:3] + np.sqrt(n) * (rng.standard_normal((len(counts), 3)) @ np.linalg.cholesky(cov).T)
    drawn = np.clip(drawn, -n, n)
    drawn[:, 1] = np.maximum(drawn[:, 1], drawn[:, 0] ** 2 / n[:, 0])
    return np.asarray(np.rint(drawn * np.array([1e4, 1e8, 1e12])).astype(np.int64))


def shares(base: Floats, tilt: Floats) -> Floats:
    """Shares of negative, neutral, positive under a tilt: (p e^-tilt, p, p e^tilt), made to sum to 1."""
    raised = np.stack([base[0] * np.exp(-tilt), np.full_like(tilt, base[1]), base[2] * np.exp(tilt)], axis=-1)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def net(base: Floats, tilt: Floats) -> Floats:
    """The net mood that a tilt makes."""
    return np.asarray(shares(base, tilt) @ MEAN_OF)


def tilt_to(base: Floats, tilt: float, move: float) -> float:
    """The additional tilt that moves net mood by `move`, or as far as it goes; by bisection."""
    def mood(more: float) -> float:
        return float(net(base, np.array(tilt + more)))

    wanted = min(max(mood(0) + move, -LIMIT), LIMIT)
    low, high = -12.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mood(middle) < wanted else (low, middle)
    return low


# -- what happens -----------------------------------------------------------------------------------------------------


class _Script:
    """A brand's events while they are written, with what they do to tilt, volume and truth."""

    def __init__(self, rng: np.random.Generator, preset: Preset, base: Floats, slow: Floats, rate: float) -> None:
        self.rng, self.preset, self.base, self.rate = rng, preset, base, rate
        self.tilt = slow.copy()  # slow weather and events: the truth
        self.volume = np.ones(len(slow))
        self.heard = np.ones(len(slow))  # share of the posts that come in
        self.skew = np.zeros(len(slow))  # tilt of those that do, where not all do
        self.mute = np.zeros(len(slow), np.bool_)  # the classifier says neutral to everything
        self.copies = np.zeros(len(slow))
        self.events: list[Event] = []

    def write(self) -> None:
        """One event after the other, from the end of the warm-up to a day before the end."""
        rng, minutes = self.rng, len(self.tilt)
        kinds, odds = list(self.preset.kinds), list(self.preset.kinds.values())
        start = WEEK + int(rng.uniform(0, DAY))
        while kinds and start <= minutes - DAY:
            kind = kinds[rng.choice(len(kinds), p=odds)]
            event = getattr(self, f"_{kind}")(start)
            if event.stop > minutes:
                return
            self.events.append(event)
            start = event.stop + int(rng.uniform(0.35, 1.3) * 1.4 * DAY)

    def _raise(self, on: int, shape: Floats, tilt: float, factor: float) -> None:
        part = slice(on, on + len(shape))  # runs over the end only if the event is dropped
        room = len(self.tilt[part])
        self.tilt[part] += tilt * shape[:room]
        self.volume[part] *= 1 + (factor - 1) * shape[:room]

    def _move(self, on: int, move: float) -> float:
        return tilt_to(self.base, float(self.tilt[on - 1]), move)

    def _swing(self, on: int, sign: int, copies: float = 0.0) -> Event:
        rng = self.rng
        size, ramp = float(rng.choice([0.10, 0.20, 0.35, 0.60])), int(rng.choice([1, 5, 15, 30]))
        hold, half = int(rng.uniform(45, 360)), rng.uniform(20, 60)
        factor = 1.0 if rng.random() < 0.4 else float(rng.uniform(1.5, 6))
        end, stop = on + ramp + hold, on + ramp + hold + int(4 * half)
        event = Event("swing", on, end, stop, sign, size, factor, copies, self._evasion(), int(rng.integers(1, 6)))
        if stop <= len(self.tilt):
            shape = np.concatenate([np.arange(1, ramp + 1) / ramp, np.ones(hold),
                                    0.5 ** (np.arange(1, stop - end + 1) / half)])
            self._raise(on, shape, self._move(on, sign * size), factor)
            self.copies[on:end] = copies
        return event

    def _evasion(self) -> float:
        return float(self.rng.choice(self.preset.evasion))

    def _many(self) -> float:
        return max(2.0, self.rate * float(self.rng.uniform(0.5, 4)))

    def _down(self, on: int) -> Event:
        return self._swing(on, -1)

    def _up(self, on: int) -> Event:
        return self._swing(on, 1)

    def _amplified(self, on: int) -> Event:
        return self._swing(on, -1 if self.rng.random() < 2 / 3 else 1, self._many())

    def _burst(self, on: int) -> Event:
        end, factor = on + int(self.rng.uniform(15, 120)), float(self.rng.uniform(5, 40))
        if end + 30 <= len(self.tilt):
            self._raise(on, np.ones(end - on), 0.0, factor)
        return Event("burst", on, end, end + 30, factor=factor)

    def _drift(self, on: int) -> Event:
        end = on + int(self.rng.uniform(1.5, 3) * DAY)
        sign, size = int(self.rng.choice([-1, 1])), float(self.rng.uniform(0.15, 0.30))
        if end <= len(self.tilt):
            shape = np.minimum(1, np.arange(1, len(self.tilt) - on + 1) / (end - on))
            self._raise(on, shape, self._move(on, sign * size), 1.0)
        return Event("drift", on, end, end, sign, size)

    def _posting(self, kind: str, on: int, length: float, shape: Callable[[int], Floats]) -> Event:
        end, copies = on + int(length), self._many()
        if end + 60 <= len(self.tilt):
            self.copies[on:end] = copies * shape(end - on)
        return Event(kind, on, end, end + 60, -1, copies=copies, evasion=self._evasion(),
                     clusters=int(self.rng.integers(1, 6)))

    def _attack(self, on: int) -> Event:
        return self._posting("attack", on, self.rng.uniform(20, 120), np.ones)

    def _boil(self, on: int) -> Event:
        return self._posting("boil", on, self.rng.uniform(6, 24) * 60, lambda length: np.linspace(0, 1, length))

    def _loud(self, on: int) -> Event:
        return self._posting("loud", on, self.rng.uniform(20, 120), np.ones)

    def _spell(self, kind: str, on: int, shortest: float, longest: float) -> Event:
        end = on + int(self.rng.uniform(shortest, longest))
        return Event(kind, on, end, end + 60)

    def _outage(self, on: int) -> Event:
        event = self._spell("outage", on, 10, 180)
        self.mute[event.on : event.end] = True
        return event

    def _gap(self, on: int) -> Event:
        """A source goes silent, and those that still come in are of another mood than all together."""
        event = self._spell("gap", on, 10, 240)
        self.heard[event.on : event.end] = self.rng.choice([0.0, self.rng.uniform(0, 0.5)])
        self.skew[event.on : event.end] = self.rng.normal(0, 0.4)
        return event

    def _replay(self, on: int) -> Event:
        return self._spell("replay", on, 20, 240)


class _Brand(NamedTuple):
    votes: Ints
    raw: Ints
    classes: Ints
    tested: NDArray[np.bool_]
    events: tuple[Event, ...]
    rate: float


def _brand(preset: Preset, seed: list[int], minutes: int) -> _Brand:
    rng = np.random.default_rng(seed)
    rate = float(preset.rates[seed[1] % len(preset.rates)])
    down, up = rng.uniform(0.08, 0.35), rng.uniform(0.15, 0.45)
    base = np.array([down, 1 - down - up, up])
    volume = _volume(rng, minutes, rate)
    script = _Script(rng, preset, base, _slow(rng, minutes, preset.wander), rate)
    script.write()
    fast = _fast(rng, minutes, preset.noise)
    expected = volume * script.volume * script.heard * rng.gamma(20, 1 / 20, minutes)
    if preset.late:
        expected *= 1 - np.clip(preset.late * np.exp(ar(rng, minutes, 0.5, 30) - 0.125), 0, 0.95)
    mix = shares(base, script.tilt + fast + script.skew)
    mix[script.mute] = (0, 1, 0)
    natural, classes = _natural(rng, rng.poisson(expected), mix)
    votes, raw = natural.copy(), natural
    for event in script.events:
        _add(rng, event, script.copies, (votes, raw, classes))
    truth = net(base, script.tilt)
    events = tuple(replace(event, floor=floor(event, truth, votes[:, 0])) for event in script.events)
    return _Brand(votes, raw, classes, script.heard == 1, events, rate)


def _natural(rng: np.random.Generator, posts: Ints, mix: Floats) -> tuple[Ints, Ints]:
    """Sums of so many posts, and how many of them are negative and positive."""
    counts = rng.multinomial(posts, mix).astype(np.int64)
    sums = sum((_scores(rng, counts[:, kind], kind) for kind in range(3)), np.zeros((len(posts), 3), np.int64))
    return np.concatenate([posts[:, None], sums], axis=1), counts[:, [0, 2]]


def _add(rng: np.random.Generator, event: Event, copies: Floats, to: tuple[Ints, Ints, Ints]) -> None:
    """Adds what an event posts by itself: copies, one account's flood, a day sent twice."""
    votes, raw, classes = to
    span = slice(event.on, event.end)
    if event.kind == "replay":  # new ids, another hour: all pass for votes. True duplicates never come this far
        back = slice(event.on - (lag := int(rng.uniform(300, DAY))), event.end - lag)
        for sums in to:
            sums[span] += sums[back]
    elif event.copies:
        sent = rng.poisson(copies[span]).astype(np.int64)
        counted = _counted(rng, event, sent)
        kind = 1 + event.sign
        passed = _with_count(rng, counted, kind)
        votes[span] += passed
        raw[span] += passed + _with_count(rng, sent - counted, kind)
        classes[span, kind // 2] += sent


def _counted(rng: np.random.Generator, event: Event, sent: Ints) -> Ints:
    """How many copies pass for votes: those that evade, and one of a cluster, or of an account, and hour."""
    if event.kind == "loud":
        return np.asarray(np.minimum(sent, np.arange(len(sent)) % 60 == 0))
    passing = rng.binomial(sent, event.evasion) + rng.poisson(event.clusters / 60, len(sent))
    return np.asarray(np.minimum(sent, passing))


def _with_count(rng: np.random.Generator, counts: Ints, kind: int) -> Ints:
    return np.concatenate([counts[:, None], _scores(rng, counts, kind)], axis=1)


def floor(event: Event, truth: Floats, votes: Ints) -> int | None:
    """Minutes until one who knows the truth, and the noise of counting alone, is sure of the event."""
    if event.kind != "swing":
        return None
    n = votes[event.on : event.end].astype(np.float64)
    moved = truth[event.on : event.end] - truth[event.on - 1]
    with np.errstate(divide="ignore"):
        nats = np.cumsum(moved**2 / (2 * (0.35 / n + 0.012**2)))
    return int(np.argmax(nats >= LOGS)) + 1 if nats[-1] >= LOGS else None
