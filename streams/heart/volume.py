"""Volume: is more said than usual? A series of its own: a burst says nothing of mood, and mood nothing of a burst.

    y(t) = sqrt(mentions of the last 5 minutes + 3/8)     Anscombe 1948: of even spread, whatever the rate

The mean of y over 15 and over 60 minutes is held against a level with a profile of the hours of the day, in units of
what this brand's means usually stray. It fires upwards only, on two minutes in a row; then it is silent for a day,
unless the spike is twice the one that was told. Silence of the brand is not a spike but a question for the sources.
Pure, and exact in its sums: y is kept in whole 1/10,000.
Knows nothing of moods, authors, brands or clocks.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from streams.heart.errors import BrokenPromise
from streams.heart.pane import UNIT
from streams.heart.series import Column, Table
from streams.heart.swing import DAY, Bools, Floats, Ints

RING = 65  # the longest window, and the 5 minutes of its oldest y
FIVE = 5


class VolumeKnobs(NamedTuple):
    """What may be set. Times in minutes."""

    windows: tuple[int, ...] = (15, 60)
    threshold: float = 5.0
    most: float = 2.0  # times the usual at least, or it is no spike
    mentions: int = 20  # the fewest that a window needs
    persistence: int = 2
    lag: int = 60
    clear: int = 15
    silence: int = 1440
    new_normal: int = 720
    warm_up: int = 1440  # minutes since the first mention: a day has hours
    half_life: float = 10080.0
    profile_weight: float = 30.0
    winsor: float = 4.0


class Spike(NamedTuple):
    """Volume rose or came back. `now`, `usual`, `peak`: mentions a minute over the window of `window` minutes."""

    series: int
    minute: int
    kind: str  # fired, over, new normal, new ruler
    window: int
    z: float
    now: float
    usual: float
    mentions: int
    onset: int
    age: int
    peak: float


class _Seen(NamedTuple):
    """What the windows say at one minute: usual y (series); the others (series, windows)."""

    usual: Floats
    mean: Floats
    z: Floats
    spread: Floats


def _columns(windows: int) -> list[Column]:
    """The state of a series."""
    return [
        Column("sum", "f8"), Column("weight", "f8"), Column("profile_sum", "f8", (24,)),
        Column("profile_weight", "f8", (24,)), Column("spread_sum", "f8", (windows,)),
        Column("spread_weight", "f8", (windows,)), Column("count", "i8", (RING,)), Column("y", "i8", (RING,)),
        Column("five", "i8"), Column("window", "i8", (windows,)), Column("clean", "?", (RING,)), Column("seen", "i8"),
        Column("on", "?"), Column("fired_by", "i1"), Column("run", "i4"), Column("age", "i4"), Column("low", "i4"),
        Column("until", "i8", (), -(2**62)), Column("onset", "i8"), Column("peak", "f8"), Column("told", "f8"),
        Column("hushed", "i8", (), -(2**62)),
    ]


class Volume:
    """All series of one owner, stepped together minute by minute; none knows of another."""

    def __init__(self, knobs: VolumeKnobs | None = None, series: int = 0) -> None:
        self.knobs = knobs or VolumeKnobs()
        self.minute: int | None = None  # the last one stepped
        self._seen: _Seen | None = None  # in that minute
        self._widths = np.array(self.knobs.windows)
        self._table = Table(b"DNYV", 1, _columns(len(self.knobs.windows)))
        self._of = self._table.of
        self.grow(series)

    @property
    def series(self) -> int:
        """How many there are."""
        return self._table.series

    def grow(self, series: int) -> None:
        """Adds fresh series at the end, until there are so many."""
        self._table.grow(series)

    def reset(self, series: Sequence[int]) -> None:
        """These begin anew."""
        self._table.reset(series)

    def skip(self, minute: int) -> None:
        """The next minute is this one; whoever left out those before resets every series before it is used."""
        self.minute = minute - 1

    def hush(self, series: int) -> None:
        """From the next minute on another rule counts: nothing fires for an hour, and then its mean is the usual."""
        if self.minute is not None:
            self._of["hushed"][series] = self.minute + 1 + self.knobs.windows[-1]

    def standing(self, series: int) -> Spike:
        """The spike that a series is in, as its window sees it now."""
        assert self._seen is not None
        return self._spike(series, self._seen, "fired")

    def step(self, minute: int, mentions: Ints, tested: Bools) -> list[Spike]:
        """Takes a closed minute's mentions (series); returns what turned, by series. Minutes come one after another."""
        if self.minute is not None and minute != self.minute + 1:
            raise BrokenPromise(f"minute {minute} after {self.minute}")
        self.minute = minute
        self._push(minute, mentions)
        seen = self._seen = self._look(minute)
        spikes = self._fire(minute, seen, tested)
        spikes += self._end(seen, tested)
        for at in np.flatnonzero(self._of["hushed"] == minute).tolist():
            self._adopt(at, seen)
        self._of["clean"][:, minute % RING] = tested & ~self._of["on"] & (self._of["hushed"] <= minute)
        self._learn(minute, seen)
        self._of["seen"] += (self._of["seen"] > 0) | (mentions > 0)
        return sorted(spikes, key=lambda spike: spike.series)

    def _push(self, minute: int, mentions: Ints) -> None:
        of = self._of
        of["five"] += mentions - of["count"][:, (minute - FIVE) % RING]
        of["count"][:, minute % RING] = mentions
        y = np.round(np.sqrt(of["five"] + 0.375) * UNIT).astype(np.int64)
        for at, width in enumerate(self.knobs.windows):
            of["window"][:, at] += y - of["y"][:, (minute - width) % RING]
        of["y"][:, minute % RING] = y

    def usual(self, minute: int) -> Floats:
        """The usual y at a minute; (series)."""
        of = self._of
        level = of["sum"] / np.maximum(of["weight"], 1e-9)
        place = minute % DAY - 30
        low, share = place // 60 % 24, place % 60 / 60
        both = [low, (low + 1) % 24]
        cell = of["profile_sum"][:, both] / (of["profile_weight"][:, both] + self.knobs.profile_weight)
        return np.asarray(level + cell[:, 0] * (1 - share) + cell[:, 1] * share)

    def expected(self, minute: int, width: int) -> Floats:
        """How many mentions a window of so many minutes usually holds; (series)."""
        y = np.maximum(self.usual(minute), 0.0)
        return np.asarray(np.maximum(y * y - 0.375, 0.0) * width / FIVE)

    def _look(self, minute: int) -> _Seen:
        of = self._of
        usual = self.usual(minute)
        mean = of["window"] / UNIT / self._widths
        # A mean of counts alone strays by this much (y has a spread of 1/2, and five minutes overlap).
        least = 0.25 * FIVE / self._widths
        spread = np.maximum(of["spread_sum"] / np.maximum(of["spread_weight"], 1e-9), least)
        return _Seen(usual, mean, (mean - usual[:, None]) / np.sqrt(spread), spread)

    def _fire(self, minute: int, seen: _Seen, tested: Bools) -> list[Spike]:
        of, knobs = self._of, self.knobs
        rate, usual = _rate(seen.mean), np.maximum(_rate(seen.usual), 0.0)[:, None]
        enough = (rate * self._widths >= knobs.mentions) & (rate >= knobs.most * usual)
        z = np.where(enough, seen.z, 0.0)
        lead = np.argmax(z, axis=1)
        best = np.take_along_axis(z, lead[:, None], axis=1)[:, 0]
        hot = (best >= knobs.threshold) & tested & (of["seen"] >= knobs.warm_up) & (of["hushed"] <= minute)
        of["run"] = np.where(hot, of["run"] + 1, 0).astype(np.int32)
        now = np.take_along_axis(rate, lead[:, None], axis=1)[:, 0]
        free = (of["until"] <= minute) | (now >= 2 * of["told"])
        spikes = []
        for at in np.flatnonzero(hot & (of["run"] >= knobs.persistence) & ~of["on"] & free).tolist():
            of["on"][at], of["fired_by"][at], of["age"][at], of["low"][at] = True, lead[at], 0, 0
            of["onset"][at], of["peak"][at] = self._onset(at, minute, seen), now[at]
            of["until"][at], of["told"][at] = minute + knobs.silence, now[at]
            spikes.append(self._spike(at, seen, "fired"))
        return spikes

    def _end(self, seen: _Seen, tested: Bools) -> list[Spike]:
        of, knobs = self._of, self.knobs
        spikes = []
        for at in np.flatnonzero(of["on"]).tolist():
            of["age"][at] += 1
            of["peak"][at] = max(of["peak"][at], float(_rate(seen.mean[at, of["fired_by"][at]])))
            of["told"][at] = max(of["told"][at], of["peak"][at])
            if tested[at]:
                of["low"][at] = of["low"][at] + 1 if seen.z[at, 0] < knobs.threshold / 2 else 0
            is_low, new_ruler = of["low"][at] >= knobs.clear, of["hushed"][at] > (self.minute or 0)
            if is_low or new_ruler or of["age"][at] >= knobs.new_normal:
                kind = "new ruler" if new_ruler else "over" if is_low else "new normal"
                spikes.append(self._spike(at, seen, kind))
                of["on"][at] = False
                if kind == "new normal":
                    self._adopt(at, seen)
        return spikes

    def _adopt(self, at: int, seen: _Seen) -> None:
        """The mean of the longest window is the usual from now on."""
        self._of["sum"][at] += self._of["weight"][at] * float(seen.mean[at, -1] - seen.usual[at])

    def _spike(self, at: int, seen: _Seen, kind: str) -> Spike:
        of, lead = self._of, int(self._of["fired_by"][at])
        now = float(_rate(seen.mean[at, lead]))
        width = self.knobs.windows[lead]
        return Spike(at, int(self.minute or 0), kind, width, float(seen.z[at, lead]), now,
                     max(float(_rate(seen.usual[at])), 0.0), round(now * width), int(of["onset"][at]),
                     int(of["age"][at]), float(of["peak"][at]))

    def _onset(self, at: int, minute: int, seen: _Seen) -> int:
        """The minute after the last one at which less than half of the rise had come."""
        minutes = np.arange(minute - 59, minute + 1)
        y = self._of["y"][at, minutes % RING] / UNIT
        low = np.flatnonzero(y < (float(seen.usual[at]) + float(y[-1])) / 2)
        return int(minutes[low[-1]]) + 1 - FIVE // 2 if len(low) else int(minutes[0])

    def _learn(self, minute: int, seen: _Seen) -> None:
        of, knobs = self._of, self.knobs
        then, fade = minute - knobs.lag, 0.5 ** (1 / knobs.half_life)
        has = of["clean"][:, then % RING] & ~of["on"] & (of["seen"] > knobs.lag)
        r = of["y"][:, then % RING] / UNIT - self.usual(then)
        clip = knobs.winsor * np.sqrt(seen.spread[:, 0] + 0.25)
        r = np.where(of["weight"] >= DAY, np.clip(r, -clip, clip), r)
        level = of["sum"] / np.maximum(of["weight"], 1e-9)
        hour = then % DAY // 60
        cell_fade = fade**24
        cell = of["profile_sum"][:, hour] / (of["profile_weight"][:, hour] + knobs.profile_weight)
        off = np.where(of["weight"] >= 60, r + cell, 0.0)
        of["profile_sum"][:, hour] = cell_fade * of["profile_sum"][:, hour] + np.where(has, off, 0.0)
        of["profile_weight"][:, hour] = cell_fade * of["profile_weight"][:, hour] + has
        of["sum"] = fade * of["sum"] + np.where(has, level + r, 0.0)
        of["weight"] = fade * of["weight"] + has
        # Spread only from when the level means something; a burst that has not fired may not widen it without limit.
        learnt = (has & (of["weight"] >= 360))[:, None]
        e = seen.mean - seen.usual[:, None]
        e2 = np.minimum(e * e, 9 * np.maximum(seen.spread, 0.25 * FIVE / self._widths))
        of["spread_sum"] = fade * of["spread_sum"] + np.where(learnt, e2, 0.0)
        of["spread_weight"] = fade * of["spread_weight"] + learnt

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        return self._table.pack(self.minute)

    @classmethod
    def restore(cls, data: bytes, knobs: VolumeKnobs | None = None) -> "Volume":
        """The one that made a snapshot. Raises `BrokenPromise` for other bytes."""
        volume = cls(knobs)
        volume.minute = volume._table.unpack(data)
        return volume


def _rate(y: Any) -> Any:
    """Mentions a minute behind a y."""
    return (y * y - 0.375) / FIVE
