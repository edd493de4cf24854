"""Swing: has opinion moved? Closed minutes in, turns out.

    minute t ──▶ statistic ──▶ fire? ──▶ over? ──▶ learn from minute t - 60
                 (windows of 2, 5, 15, 45 and 120 minutes, all ending now)

A mean of n votes moves by chance with sigma / sqrt(n), and public mood has weather of its own besides. For each window
the detector holds its mean against the level of the last hours and asks how many standard deviations lie between; the
variance adds sampling error, skew, the weather that this brand showed over windows of this length (tau), and how little
the level itself is known. Short windows are also held against the minutes just before them (a *contrast*): weather that
lasts longer than these is in both and cancels, so a sudden move shows sooner; what is left of it (the gusts) is learned
like tau. A contrast speaks only where the level agrees: same sign, and an effect that counts. A swing fires when two
minutes in a row are hot. What the baseline has not yet seen of a swing, it never sees; it goes on learning, an hour
behind, once the swing is over. One that lasts half a day is the new normal.

All series of a detector step together, and none knows of another: a series gives the same turns alone, beside others,
and after `restore(snapshot())`. An untested minute (its sources were sick) is as if nobody had spoken: what was said in
it stands in no window, no run of hot minutes goes through it, and a swing does not come nearer to its end by it. Pure:
no clock, no chance; sums are whole numbers, so minutes that are equal give equal turns.
`tests/slow_swing.py` says the same a second time, slowly, one series at a time.
Knows nothing of brands, votes, authors, or what a series means.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.errors import BrokenPromise
from streams.heart.pane import UNIT
from streams.heart.series import Column, Table

RING = 120  # minutes held: the longest window
DAY = 1440
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_SCALE = np.array([1.0, UNIT, UNIT**2, UNIT**3])


class Knobs(NamedTuple):
    """What may be set. Times in minutes, variances and effects in units of mood."""

    windows: tuple[int, ...] = (2, 5, 15, 45, 120)
    threshold: float = 4.5  # h; 5.0 is quiet, 4.0 sensitive
    floor: float = 0.06  # the smallest effect that is a swing
    votes: int = 20  # the fewest that a window needs
    persistence: int = 2
    recency: float = 0.5  # so much of it must show in the next shorter window,
    recency_votes: int = 5  # unless that holds fewer votes
    lag: int = 60
    contrast: tuple[tuple[int, int], ...] = ((3, 15), (5, 15), (5, 30), (0, 0), (0, 0))  # gap, length; 0: none
    contrast_extra: float = 0.5  # so much more than the threshold is asked of a contrast
    clear: int = 15
    cooldown: int = 60
    new_normal: int = 720
    warm_up: int = 360  # minutes with votes
    tau0: float = 0.02  # weather, sd: expected,
    tau_floor: float = 0.012  # at least,
    tau_weight: float = 720.0  # weight of the expectation at first,
    tau_least: float = 30.0  # and for ever
    variance: float = 0.45
    variance_weight: float = 50.0
    level_sd: float = 0.006  # the level is never known better
    level_sure: float = 400.0  # precision from which on its input is winsorised,
    winsor: float = 4.0  # at so many sd
    half_level: float = 120.0  # of a level that is known so well;
    half_known: float = 2500.0
    half_longest: float = 480.0  # one that is less known remembers longer, in proportion
    half_variance: float = 4320.0
    half_profile: float = 10080.0


class Turn(NamedTuple):
    """Something began or ended in one series. `minute`, `onset`: minute numbers; moods from -1 to 1.

    `kind`: fired, over, new normal, new ruler. `d`: mean of the leading window (`window` minutes, `n` votes) less
    `usual` (the level, or with `is_contrast` the mean just before), and `variance` that of d; `weather`: the window's
    tau; at the end those of the window that was watched. `age`: minutes since it fired; `peak`: the largest d, by size,
    first of the window that fired, then of the one that is watched.
    """

    series: int
    minute: int
    kind: str
    sign: int
    window: int
    z: float
    d: float
    n: int
    usual: float
    is_contrast: bool
    variance: float
    weather: float
    onset: int
    age: int
    peak: float


class Contrast(NamedTuple):
    """Windows held against the minutes before them. Arrays (series, windows); 0 where there is none.

    `rest`: of the variance, what is not sampling error of the window itself.
    """

    before: Floats
    n: Floats
    d: Floats
    rest: Floats
    z: Floats


class Stats(NamedTuple):
    """What the windows say at one minute. Arrays (series) or (series, windows)."""

    sigma2: Floats
    skew: Floats  # third moment over variance
    level: Floats
    profile: Floats
    mu: Floats
    level_variance: Floats
    tau2: Floats
    n: Floats
    d: Floats
    variance: Floats
    z: Floats
    contrast: Contrast


def _columns(knobs: Knobs) -> list[Column]:
    """The state of a series."""
    windows, weather = (len(knobs.windows),), knobs.tau_weight * knobs.tau0**2
    v0 = knobs.variance_weight
    return [
        Column("level_sum", "f8"), Column("precision", "f8"),
        Column("v0", "f8", (), v0), Column("v1", "f8", (), knobs.variance * v0), Column("v3", "f8"),
        Column("tau_sum", "f8", windows, weather), Column("tau_weight", "f8", windows, knobs.tau_weight),
        Column("gust_sum", "f8", windows, weather), Column("gust_weight", "f8", windows, knobs.tau_weight),
        Column("profile_sum", "f8", (24,)), Column("profile_weight", "f8", (24,)),
        Column("on", "i1"), Column("fired_by", "i1"), Column("run_sign", "i1"), Column("run", "i4"),
        Column("age", "i4"), Column("low", "i4"), Column("seen", "i8"), Column("onset", "i8"), Column("peak", "f8"),
        Column("ended", "i8", (2,), -(2**62)), Column("hushed", "i8", (), -(2**62)),
        Column("is_contrast", "?"), Column("against", "f8"), Column("against_rest", "f8"),
        Column("clean", "?", (RING,)), Column("ring", "i8", (RING, 4)),
        Column("window", "i8", (*windows, 2)), Column("before", "i8", (*windows, 2)),
    ]


class Detector:
    """All series of one owner. `step` them minute by minute."""

    def __init__(self, knobs: Knobs | None = None, series: int = 0) -> None:
        self.knobs = knobs or Knobs()
        self.minute: int | None = None  # the last one stepped
        self._windows = np.array(self.knobs.windows)
        reach = max(width + sum(before) for width, before in zip(self.knobs.windows, self.knobs.contrast, strict=True))
        if reach > RING or self.knobs.lag >= RING:
            raise BrokenPromise(f"windows and contrasts reach {reach} minutes back, and {RING} are kept")
        self._view = next(at for at, width in enumerate(self.knobs.windows) if width >= 15)
        self._table = Table(b"DNYS", 1, _columns(self.knobs))
        self._of = self._table.of
        self._stats: Stats | None = None
        self.learned: Bools = np.zeros(0, np.bool_)  # whose level took the minute in that was due at the last step
        self.grow(series)

    @property
    def series(self) -> int:
        """How many there are."""
        return self._table.series

    def grow(self, series: int) -> None:
        """Adds fresh series at the end, until there are so many."""
        if series > self.series:
            self._table.grow(series)
            self._stats = None

    def reset(self, series: Sequence[int]) -> None:
        """These begin anew."""
        self._table.reset(series)

    def skip(self, minute: int) -> None:
        """The next minute is this one; whoever left out those before resets every series before it is used."""
        self.minute = minute - 1

    # One minute.

    def step(self, minute: int, sums: Ints, tested: Bools) -> list[Turn]:
        """Takes a closed minute; returns what turned in it, by series.

        `sums`: (series, 4), the count, and the sums of x, x^2, x^3 of its votes, x in 1/10,000. `tested`: (series).
        Minutes come one after the other; raises `BrokenPromise` for another.
        """
        if self.minute is not None and minute != self.minute + 1:
            raise BrokenPromise(f"minute {minute} after {self.minute}")
        self.minute = minute
        sums = np.where(tested[:, None], sums, 0)
        self._push(minute, sums)
        self._stats = stats = self._statistic(minute)
        turns = self._fire(minute, stats, tested)
        of = self._of
        of["clean"][:, minute % RING] = tested & (of["on"] == 0) & (of["hushed"] <= minute)
        for turn in turns:
            if turn.kind == "fired":  # un-learning: what the baseline has not yet seen of it, it never sees
                of["clean"][turn.series, np.arange(minute - self.knobs.lag, minute + 1) % RING] = False
        turns += self._end(minute, stats, tested, {turn.series for turn in turns if turn.kind == "fired"})
        for at in np.flatnonzero(of["hushed"] == minute).tolist():
            self._adopt(at, stats)
        self._learn(minute, stats, sums)
        return sorted(turns, key=lambda turn: turn.series)

    def hush(self, series: int) -> None:
        """From the next minute on another ruler measures this series: a swing ends, nothing fires for 120 minutes, and
        then their mean is the level. A new ruler is not a swing.
        """
        if self.minute is not None:
            self._of["hushed"][series] = self.minute + 1 + RING
            self._of["clean"][series] = False  # the jump between two rulers is no weather

    def calm(self, series: int) -> None:
        """The swing of this series is over: what it rested on is gone."""
        of = self._of
        if not of["on"][series]:
            raise BrokenPromise(f"series {series} is in no swing")
        of["ended"][series, 0 if of["on"][series] < 0 else 1] = int(self.minute or 0)
        of["on"][series] = 0

    def standing(self, series: int) -> Turn:
        """The swing that a series is in, as its leading window sees it now."""
        assert self._stats is not None
        return self._turn(series, self._stats, "fired", int(self._of["fired_by"][series]))

    def _push(self, minute: int, sums: Ints) -> None:
        """The ring and the windows' sums, both exact."""
        ring, window, before = self._of["ring"], self._of["window"], self._of["before"]
        for at, (width, (gap, length)) in enumerate(zip(self.knobs.windows, self.knobs.contrast, strict=True)):
            window[:, at] += sums[:, :2] - ring[:, (minute - width) % RING, :2]
            if length:
                first, last = minute - width - gap - length, minute - width - gap
                before[:, at] += ring[:, last % RING, :2] - ring[:, first % RING, :2]
        ring[:, minute % RING] = sums

    def _statistic(self, minute: int) -> Stats:
        """Each window's effect over its standard deviation.

        The skew term is Bernstein's, the third moment in place of the range: without it 5 of 20 votes of a rare class
        are 4.1 standard deviations where the exact tail is 2.8; with it 2.7.
        """
        of, knobs = self._of, self.knobs
        sigma2 = of["v1"] / of["v0"]
        skew = of["v3"] / of["v0"] / sigma2
        known = of["precision"] > 0
        level = np.where(known, of["level_sum"] / np.where(known, of["precision"], 1.0), 0.0)
        level_variance = np.where(known, np.minimum(1.0 / np.where(known, of["precision"], 1.0), 1.0), 1.0)
        profile = self._profile(minute)
        mu = level + profile
        tau2 = np.maximum(of["tau_sum"] / of["tau_weight"], knobs.tau_floor**2)
        n = of["window"][:, :, 0].astype(np.float64)
        some = n > 0
        least = np.where(some, n, 1.0)
        d = np.where(some, of["window"][:, :, 1] / UNIT / least - mu[:, None], 0.0)
        g = np.maximum(np.sign(d) * skew[:, None], 0.0)
        variance = (sigma2[:, None] + np.abs(d) * g / 3) / least + tau2 + level_variance[:, None]
        contrast = self._contrast(sigma2, n, least)
        z = d / np.sqrt(variance)
        return Stats(sigma2, skew, level, profile, mu, level_variance, tau2, n, d, variance, z, contrast)

    def _contrast(self, sigma2: Floats, n: Floats, least: Floats) -> Contrast:
        of, knobs = self._of, self.knobs
        held = of["before"][:, :, 0].astype(np.float64)
        has = (held >= knobs.votes) & (n > 0)
        held = np.where(has, held, 0.0)
        most = np.where(has, held, 1.0)
        before = np.where(has, of["before"][:, :, 1] / UNIT / most, 0.0)
        d = np.where(has, of["window"][:, :, 1] / UNIT / least - before, 0.0)
        gust2 = np.maximum(of["gust_sum"] / of["gust_weight"], knobs.tau_floor**2)
        rest = sigma2[:, None] / most + gust2
        return Contrast(before, held, d, rest, d / np.sqrt(sigma2[:, None] / least + rest))

    def _profile(self, minute: int) -> Floats:
        """The hour of day's own part, linear between the hours' centres; (series)."""
        place = minute % DAY - 30
        low, share = place // 60 % 24, place % 60 / 60
        high = (low + 1) % 24
        cell = self._of["profile_sum"][:, [low, high]] / (self._of["profile_weight"][:, [low, high]] + 120.0)
        return np.asarray(cell[:, 0] * (1 - share) + cell[:, 1] * share)

    def _fire(self, minute: int, stats: Stats, tested: Bools) -> list[Turn]:
        of, knobs = self._of, self.knobs
        z, by_contrast = self._speaking(minute, stats)
        lead = np.argmax(np.abs(z), axis=1)
        best = np.take_along_axis(z, lead[:, None], axis=1)[:, 0]
        sign = np.sign(best).astype(np.int8)
        hot = (np.abs(best) >= knobs.threshold) & tested & (of["hushed"] <= minute)
        of["run"] = np.where(hot, np.where(sign == of["run_sign"], of["run"] + 1, 1), 0).astype(np.int32)
        of["run_sign"] = np.where(hot, sign, 0).astype(np.int8)
        turns = []
        for at in np.flatnonzero(hot & (of["run"] >= knobs.persistence) & (sign != of["on"])).tolist():
            if of["on"][at]:
                turns.append(self._turn(at, stats, "over", self.watched(at)))
                self.calm(at)
            window = int(lead[at])
            of["on"][at], of["fired_by"][at] = sign[at], window
            of["age"][at] = of["low"][at] = 0
            of["is_contrast"][at] = by_contrast[at, window]
            of["against"][at] = stats.contrast.before[at, window]
            of["against_rest"][at] = stats.contrast.rest[at, window]
            of["onset"][at] = self._onset(at, minute, stats)
            of["peak"][at] = self._seen(at, window, stats)[0]
            turns.append(self._turn(at, stats, "fired", window))
        return turns

    def _speaking(self, minute: int, stats: Stats) -> tuple[Floats, Bools]:
        """Each window's z, 0 where it may not speak; and where it is that of its contrast, scaled to the threshold.

        After a swing its sign is silent for the cooldown, and then in every window that still holds a part of it. A
        contrast whose minutes before hold a part of a swing is silent altogether: the return to normal is no swing.
        """
        knobs, eligible, contrast = self.knobs, self._eligible(stats), stats.contrast
        reach = self._windows + np.array(knobs.contrast).sum(axis=1)
        free = (self._of["on"] == 0)[:, None] & (minute - self._of["ended"].max(axis=1)[:, None] >= reach)
        agrees = eligible & free & (np.abs(contrast.d) >= knobs.floor) & (np.sign(contrast.d) == np.sign(stats.d))
        z = np.where(eligible, stats.z, 0.0)
        scaled = np.where(agrees, contrast.z * (knobs.threshold / (knobs.threshold + knobs.contrast_extra)), 0.0)
        larger = np.abs(scaled) > np.abs(z)
        z = np.where(larger, scaled, z)
        since = minute - np.where(z < 0, self._of["ended"][:, :1], self._of["ended"][:, 1:])
        return np.where(since >= np.maximum(self._windows, knobs.cooldown), z, 0.0), larger

    def _eligible(self, stats: Stats) -> Bools:
        """Which windows may speak: votes and effect enough, a warm baseline, and it goes on; (series, windows)."""
        knobs = self.knobs
        shows = np.ones(stats.d.shape, np.bool_)
        shorter = stats.d[:, :-1] * np.sign(stats.d[:, 1:]) >= knobs.recency * np.abs(stats.d[:, 1:])
        shows[:, 1:] = (stats.n[:, :-1] < knobs.recency_votes) | shorter
        return np.asarray((stats.n >= knobs.votes) & (np.abs(stats.d) >= knobs.floor) & shows & self.ready[:, None])

    def _end(self, minute: int, stats: Stats, tested: Bools, fired: set[int]) -> list[Turn]:
        of, knobs = self._of, self.knobs
        turns = []
        for at in np.flatnonzero(of["on"]).tolist():
            if at in fired:
                continue
            sign, view = int(of["on"][at]), self.watched(at)
            led = self._seen(at, view, stats)[0]
            if stats.n[at, view] >= knobs.votes and led * sign > of["peak"][at] * sign:
                of["peak"][at] = led
            of["age"][at] += 1
            if tested[at]:
                d, variance = self._seen(at, view, stats)
                z = d / math.sqrt(variance)
                has_gone = abs(z) < knobs.threshold / 2 or abs(d) < knobs.floor / 2 or np.sign(z) != sign
                of["low"][at] = of["low"][at] + 1 if has_gone else 0
            is_low, new_ruler = of["low"][at] >= knobs.clear, of["hushed"][at] > minute
            if is_low or new_ruler or of["age"][at] >= knobs.new_normal:
                kind = "new ruler" if new_ruler else "over" if is_low else "new normal"
                turns.append(self._turn(at, stats, kind, view))
                of["ended"][at, 0 if sign < 0 else 1] = minute
                of["on"][at] = 0
                if kind == "new normal":
                    self._adopt(at, stats)
        return turns

    def _seen(self, at: int, window: int, stats: Stats) -> tuple[float, float]:
        """A window's effect and its variance, against what the swing of this series fired against."""
        of = self._of
        if not of["is_contrast"][at]:
            return float(stats.d[at, window]), float(stats.variance[at, window])
        n, s = of["window"][at, window].tolist()
        d = s / UNIT / n - float(of["against"][at]) if n else 0.0
        return d, float(stats.sigma2[at]) / max(n, 1) + float(of["against_rest"][at])

    def watched(self, at: int) -> int:
        """The place of the window by which an active swing is followed: the one that fired, but at least 15 minutes."""
        return max(int(self._of["fired_by"][at]), self._view)

    def _adopt(self, at: int, stats: Stats) -> None:
        """A new normal: the mean of the longest window is the level from now on."""
        n, s = self._of["window"][at, -1].tolist()
        precision = min(self.knobs.level_sure, n / float(stats.sigma2[at]))  # of few votes, no more than they say
        self._of["precision"][at] = precision
        self._of["level_sum"][at] = precision * (s / UNIT / max(n, 1) - float(stats.profile[at]))

    def _turn(self, at: int, stats: Stats, kind: str, window: int) -> Turn:
        of, is_contrast = self._of, bool(self._of["is_contrast"][at])
        d, variance = self._seen(at, window, stats)
        usual = float(of["against"][at]) if is_contrast else float(stats.mu[at])
        return Turn(at, int(self.minute or 0), kind, int(of["on"][at]), self.knobs.windows[window],
                    d / math.sqrt(variance), d, int(stats.n[at, window]), usual, is_contrast, variance,
                    math.sqrt(float(stats.tau2[at, window])), int(of["onset"][at]), int(of["age"][at]),
                    float(of["peak"][at]))

    def _onset(self, at: int, minute: int, stats: Stats) -> int:
        """The minute after the last reset of a CUSUM over the ring, drift half the effect of the last ten minutes.

        Page 1954. Error: see the table of `make swings-full`.
        """
        minutes = np.arange(minute - RING + 1, minute + 1)
        n, s = self._of["ring"][at, minutes % RING, :2].T.astype(np.float64)
        weight = np.where(n > 0, 1.0 / (stats.sigma2[at] / np.maximum(n, 1.0) + 0.015**2), 0.0)
        x = s / UNIT / np.maximum(n, 1.0)
        mu, sign = float(stats.mu[at]), float(self._of["on"][at])
        last = float(np.cumsum(weight[-10:])[-1])
        lately = float(np.cumsum(weight[-10:] * x[-10:])[-1]) / last if last else mu
        drift = max(sign * (lately - mu), 0.04) / 2
        total = np.concatenate([[0.0], np.cumsum(weight * (sign * (x - mu) - drift))])
        lowest = RING - int(np.argmin(total[::-1]))  # of equals the last
        return int(minutes[0]) + min(lowest, RING - 1)

    # Learning, an hour behind.

    def _learn(self, minute: int, stats: Stats, sums: Ints) -> None:
        of, then = self._of, minute - self.knobs.lag
        n, s, q, c = (of["ring"][:, then % RING] / _SCALE).T
        quiet = of["clean"][:, then % RING] & (of["on"] == 0)
        has = quiet & (n > 0)
        self.learned = quiet
        least = np.where(n > 0, n, 1.0)
        x = s / least
        sampling = stats.sigma2 / least
        self._learn_level(then, stats, has, x, sampling)
        self._learn_variance(has & (n > 1), least, x, (s, q, c))
        # Against a level that is hardly known, nothing can be said of weather.
        is_known = stats.level_variance <= self.knobs.variance / self.knobs.votes
        self._learn_weather(stats, quiet & self.ready & is_known)
        of["seen"] += sums[:, 0] > 0

    def _learn_level(self, then: int, stats: Stats, has: Bools, x: Floats, sampling: Floats) -> None:
        of, knobs = self._of, self.knobs
        # Of many votes the last two hours say where mood is now; of few, they say too little, and weather is the least.
        half = knobs.half_level * knobs.half_known / np.maximum(of["precision"], 1.0)
        fade = 1 - math.log(2) / np.clip(half, knobs.half_level, knobs.half_longest)
        fade_profile = 0.5 ** (24 / knobs.half_profile)
        usual, weather = self._profile(then), stats.tau2[:, 0]
        clip = knobs.winsor * np.sqrt(sampling + weather + stats.level_variance)
        sure = of["precision"] >= knobs.level_sure
        r = x - usual - stats.level
        r = np.where(sure, np.clip(r, -clip, clip), r)
        w = np.where(has, 1.0 / (sampling + weather), 0.0)
        hour = then % DAY // 60
        wide = clip + np.abs(usual)
        ws = np.where(has, 1.0 / (1.0 + sampling / 0.02**2), 0.0)
        off = np.where(sure, np.clip(x - stats.level, -wide, wide), 0.0)
        of["profile_sum"][:, hour] = fade_profile * of["profile_sum"][:, hour] + ws * off
        of["profile_weight"][:, hour] = fade_profile * of["profile_weight"][:, hour] + ws
        total = fade * of["level_sum"] + w * (stats.level + r)
        precision = fade * of["precision"] + w
        scale = np.minimum(1.0, 1.0 / knobs.level_sd**2 / np.maximum(precision, 1e-300))
        of["level_sum"], of["precision"] = total * scale, precision * scale

    def _learn_variance(self, has: Bools, n: Floats, x: Floats, moments: tuple[Floats, Floats, Floats]) -> None:
        of, knobs = self._of, self.knobs
        s, q, c = moments
        fade = 0.5 ** (1 / knobs.half_variance)
        v0 = fade * of["v0"] + np.where(has, n - 1, 0.0)
        v1 = fade * of["v1"] + np.where(has, np.maximum(q - s * s / n, 0.0), 0.0)
        of["v3"] = fade * of["v3"] + np.where(has, c - 3 * x * q + 2 * n * x * x * x, 0.0)
        short = np.maximum(knobs.variance_weight - v0, 0.0)  # the prior comes back where little is seen
        of["v0"] = v0 + short
        of["v1"] = np.maximum(v1 + knobs.variance * short, 0.05 * of["v0"])

    def _learn_weather(self, stats: Stats, has: Bools) -> None:
        """tau and the gusts: what means move beyond sampling error and an uncertain level, each window its own."""
        contrast, sigma2 = stats.contrast, stats.sigma2[:, None]
        sampling = sigma2 / np.where(stats.n > 0, stats.n, 1.0)
        self._learn_sd("tau", has[:, None] & (stats.n > 0), sampling, (
            stats.d * stats.d, 9 * stats.variance, sampling + stats.level_variance[:, None]))
        both = sampling + sigma2 / np.where(contrast.n > 0, contrast.n, 1.0)
        self._learn_sd("gust", has[:, None] & (contrast.n > 0), both, (
            contrast.d * contrast.d, 9 * (sampling + contrast.rest), both))

    def _learn_sd(self, name: str, has: Bools, sampling: Floats, squares: tuple[Floats, Floats, Floats]) -> None:
        """`squares`: that of the effect, the most that is believed, and what is no weather."""
        of, knobs = self._of, self.knobs
        fade, expected = 0.5 ** (1 / knobs.half_variance), knobs.tau0**2
        share = expected / (expected + sampling)
        w = np.where(has, share * share, 0.0)
        seen, most, known = squares
        total = fade * of[f"{name}_sum"] + w * (np.minimum(seen, most) - known)
        weight = fade * of[f"{name}_weight"] + w
        short = np.maximum(knobs.tau_least - weight, 0.0)
        of[f"{name}_sum"], of[f"{name}_weight"] = total + expected * short, weight + short

    # What it knows.

    @property
    def ready(self) -> Bools:
        """Which series have a warm baseline; (series)."""
        return np.asarray(self._of["seen"] >= self.knobs.warm_up)

    @property
    def hushed(self) -> Bools:
        """Which series have a new ruler that is not known yet; (series)."""
        return np.asarray(self._of["hushed"] > (-1 if self.minute is None else self.minute))

    @property
    def on(self) -> npt.NDArray[np.int8]:
        """-1, 0 or 1: the swing that each series is in; (series)."""
        return self._of["on"]

    @property
    def stats(self) -> Stats | None:
        """What the windows said at the last minute; None before it, and after new series came."""
        return self._stats

    def smallest(self, sign: int = -1) -> Floats:
        """The smallest step that would be hot now if it filled a window; nan where none can be seen; (series)."""
        stats, knobs = self._stats, self.knobs
        if stats is None:
            return np.full(self.series, np.nan)
        h2, n = knobs.threshold**2, np.maximum(stats.n, 1.0)
        b = h2 * np.maximum(sign * stats.skew, 0.0)[:, None] / (3 * n)
        c = h2 * (stats.sigma2[:, None] / n + stats.tau2 + stats.level_variance[:, None])
        size = np.maximum((b + np.sqrt(b * b + 4 * c)) / 2, knobs.floor)
        visible = (stats.n >= knobs.votes) & self.ready[:, None]
        least = np.min(np.where(visible, size, np.inf), axis=1)
        return np.where(np.isfinite(least), least, np.nan)

    # Rest and return.

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        return self._table.pack(self.minute)

    @classmethod
    def restore(cls, data: bytes, knobs: Knobs | None = None) -> "Detector":
        """The detector that made a snapshot. Raises `BrokenPromise` for other bytes."""
        detector = cls(knobs)
        detector.minute = detector._table.unpack(data)
        if detector.minute is not None:
            detector._stats = detector._statistic(detector.minute)  # for whoever asks before the next minute
        return detector
