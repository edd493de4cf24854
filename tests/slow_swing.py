"""Slow swing: the detector of one series, in plain floats and lists; `test_swing.py` holds the fast one to it.

Written from the rule, not from `streams/heart/swing.py`: it keeps every minute of the last two hours and adds its
windows, and what stands before them, up anew each time. Knows nothing of arrays, and shares no line with what it checks
but the table of knobs.
"""

from dataclasses import dataclass, field
from math import inf, log, nan, sqrt
from typing import NamedTuple

from streams.heart.errors import BrokenPromise
from streams.heart.swing import Knobs

TWO_HOURS = 120


class Turn(NamedTuple):
    """What has turned in a minute: a swing began (fired) or ended (over, new normal)."""

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


class Pane(NamedTuple):
    """A minute of votes: how many, and the sums of their scores, squares and cubes."""

    n: int = 0
    s: float = 0.0
    q: float = 0.0
    c: float = 0.0
    is_clean: bool = False  # the baseline may learn it


class Known(NamedTuple):
    """What is known of a series before a minute is learned."""

    sigma2: float
    skew: float  # the third moment over the second
    level: float
    doubt: float  # the variance of the level
    mu: float
    tau2: tuple[float, ...]
    gust2: tuple[float, ...]  # what tau2 is for the difference to the minutes just before

    def skew_towards(self, sign: int) -> float:
        return max(0.0, sign * self.skew)


class Look(NamedTuple):
    """A window, seen from its last minute."""

    window: int
    n: int
    d: float
    variance: float  # of d
    z: float


class Contrast(NamedTuple):
    """A window against the minutes just before it; n 0: they cannot be compared."""

    n: int = 0  # votes before
    before: float = 0.0  # their mean
    d: float = 0.0
    rest: float = 0.0  # of the variance of d, what is not the window's own sampling error
    z: float = 0.0


class Lead(NamedTuple):
    """The surest window: its place, its z (of a contrast in the one threshold's terms), and which of both it was."""

    place: int
    z: float
    is_contrast: bool


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def _limit(x: float, bound: float) -> float:
    return max(-bound, min(bound, x))


@dataclass(slots=True)
class SlowSwing:
    """The detector of one series: `step` it once a minute, in order."""

    rule: Knobs = field(default_factory=Knobs)
    series: int = 0

    panes: list[Pane] = field(init=False)  # the last two hours, the newest last; empty and unclean at first
    counts: list[int] = field(init=False)  # their n,
    wholes: list[int] = field(init=False)  # and sums of scores in 1/10,000, which add up exactly
    a: float = 0.0  # the level is a / p, p its precision
    p: float = 0.0
    v0: float = field(init=False)
    v1: float = field(init=False)
    v3: float = 0.0
    tn: list[float] = field(init=False)
    td: list[float] = field(init=False)
    gn: list[float] = field(init=False)
    gd: list[float] = field(init=False)
    pa: list[float] = field(default_factory=lambda: [0.0] * 24)
    pw: list[float] = field(default_factory=lambda: [0.0] * 24)

    on: int = 0
    fired_place: int = 0
    against: Contrast | None = None  # what a swing is followed against, if not the level: it fired by this contrast
    onset: int = 0
    peak: float = 0.0
    age: int = 0
    low: int = 0
    run: int = 0
    run_sign: int = 0
    ended: dict[int, float] = field(default_factory=lambda: {-1: -inf, 1: -inf})  # the minute of the last end
    seen: int = 0
    hushed: float = -inf  # until this minute

    # of the minute that has closed last
    minute: int = -1
    known: Known = field(init=False)
    looks: list[Look] = field(default_factory=list)
    contrasts: list[Contrast] = field(default_factory=list)

    def __post_init__(self) -> None:
        rule = self.rule
        self.panes, self.counts, self.wholes = [Pane()] * TWO_HOURS, [0] * TWO_HOURS, [0] * TWO_HOURS
        self.v0, self.v1 = rule.variance_weight, rule.variance_weight * rule.variance
        self.tn = [rule.tau_weight * rule.tau0**2 for _ in rule.windows]
        self.td = [rule.tau_weight for _ in rule.windows]
        self.gn, self.gd = list(self.tn), list(self.td)

    def step(self, minute: int, n: int, s: int, q: int, c: int, tested: bool = True) -> list[Turn]:
        """Close the minute with these sums (scores in 1/10,000). In one that is not tested nobody has spoken."""
        self.minute = minute
        n, s, q, c = (n, s, q, c) if tested else (0, 0, 0, 0)
        is_clean = tested and not self.on and self.hushed <= minute
        self.panes = [*self.panes[1:], Pane(n, s / 1e4, q / 1e8, c / 1e12, is_clean)]
        self.counts, self.wholes = [*self.counts[1:], n], [*self.wholes[1:], s]
        self.known = self._know()
        self.looks = [self._look(window, tau2) for window, tau2 in zip(self.rule.windows, self.known.tau2, strict=True)]
        self.contrasts = [self._contrast(place, gust2) for place, gust2 in enumerate(self.known.gust2)]
        turns = self._decide(tested)
        if self.hushed == minute:
            self._adopt()
        self._learn()
        return turns

    def hush(self) -> None:
        """Another ruler from the next minute on: no swing for two hours, whose mean is the level then."""
        self.hushed = self.minute + 1 + TWO_HOURS
        self.panes = [pane._replace(is_clean=False) for pane in self.panes]

    def calm(self) -> None:
        """The swing is over: what it rested on is gone."""
        if not self.on:
            raise BrokenPromise("no swing to end")
        self._end()

    def _end(self) -> None:
        self.ended[self.on] = self.minute
        self.on = 0

    # -- what is known

    @property
    def is_ready(self) -> bool:
        return self.seen >= self.rule.warm_up

    def smallest(self, sign: int = -1) -> float:
        """The smallest swing that would have been hot in the last minute; nan: none would."""
        sizes = [
            self._size(look, tau2, sign)
            for look, tau2 in zip(self.looks, self.known.tau2, strict=True)
            if look.n >= self.rule.votes and self.is_ready
        ]
        return min(sizes, default=nan)

    def _size(self, look: Look, tau2: float, sign: int) -> float:
        """The d at which z of this window is just the threshold."""
        h2 = self.rule.threshold**2
        b = h2 * self.known.skew_towards(sign) / (3 * look.n)
        c = h2 * (self.known.sigma2 / look.n + tau2 + self.known.doubt)
        return max(self.rule.floor, (b + sqrt(b * b + 4 * c)) / 2)

    def _know(self) -> Known:
        level, doubt = (self.a / self.p, min(1 / self.p, 1.0)) if self.p else (0.0, 1.0)
        sigma2 = self.v1 / self.v0
        tau2, gust2 = (
            tuple(max(above / below, self.rule.tau_floor**2) for above, below in zip(*learned, strict=True))
            for learned in ((self.tn, self.td), (self.gn, self.gd))
        )
        mu = level + self._profile(self.minute)
        return Known(sigma2, self.v3 / self.v0 / sigma2, level, doubt, mu, tau2, gust2)

    def _profile(self, minute: int) -> float:
        """What the hour of the day adds: between the centres of two hours, a straight line."""
        place = minute % 1440 / 60 - 0.5
        before = int(place // 1)
        first, second = (self.pa[hour % 24] / (self.pw[hour % 24] + 120) for hour in (before, before + 1))
        return first + (place - before) * (second - first)

    def _look(self, window: int, tau2: float) -> Look:
        known, n = self.known, sum(self.counts[-window:])
        if n == 0:  # says nothing; told as if it were one vote at the usual
            return Look(window, 0, 0.0, known.sigma2 + tau2 + known.doubt, 0.0)
        d = sum(self.wholes[-window:]) / 1e4 / n - known.mu
        variance = (known.sigma2 + abs(d) * known.skew_towards(_sign(d)) / 3) / n + tau2 + known.doubt
        return Look(window, n, d, variance, d / sqrt(variance))

    def _contrast(self, place: int, gust2: float) -> Contrast:
        (gap, length), look = self.rule.contrast[place], self.looks[place]
        last = TWO_HOURS - look.window - gap
        n = sum(self.counts[last - length : last])
        if look.n == 0 or n < self.rule.votes:  # no length: no votes
            return Contrast()
        before = sum(self.wholes[last - length : last]) / 1e4 / n
        d = sum(self.wholes[-look.window :]) / 1e4 / look.n - before
        rest = self.known.sigma2 / n + gust2
        return Contrast(n, before, d, rest, d / sqrt(self.known.sigma2 / look.n + rest))

    # -- deciding

    def _decide(self, tested: bool) -> list[Turn]:
        lead = self._lead() if tested and self.hushed <= self.minute else None
        if lead is None or abs(lead.z) < self.rule.threshold:
            self.run = self.run_sign = 0
        else:
            sign = _sign(lead.z)
            self.run = self.run + 1 if sign == self.run_sign else 1
            self.run_sign = sign
            if self.run >= self.rule.persistence and sign != self.on:
                return self._fire(lead)
        return self._follow(tested) if self.on else []

    def _lead(self) -> Lead | None:
        """The surest of the windows that may speak, of equals the shortest."""
        leads = [self._said(place) for place in range(len(self.looks)) if self._is_eligible(place)]
        spoken = [lead for lead in leads if not self._is_silent(lead)]
        return max(spoken, key=lambda lead: abs(lead.z), default=None)

    def _is_eligible(self, place: int) -> bool:
        rule, look = self.rule, self.looks[place]
        if look.n < rule.votes or abs(look.d) < rule.floor or not self.is_ready:
            return False
        if place == 0:
            return True
        shorter = self.looks[place - 1]
        return shorter.n < rule.recency_votes or shorter.d * _sign(look.d) >= rule.recency * abs(look.d)

    def _said(self, place: int) -> Lead:
        """What a window says: against the level, or against what was just before, whichever is surer."""
        look, contrast = self.looks[place], self.contrasts[place]
        z = contrast.z * self.rule.threshold / (self.rule.threshold + self.rule.contrast_extra)
        agrees = abs(contrast.d) >= self.rule.floor and _sign(contrast.d) == _sign(look.d)
        speaks = agrees and self._is_calm_before(place) and abs(z) > abs(look.z)
        return Lead(place, z, True) if speaks else Lead(place, look.z, False)

    def _is_calm_before(self, place: int) -> bool:
        """Whether what a contrast is held against holds no part of a swing: the return to normal is none."""
        began = self.minute - self.rule.windows[place] - sum(self.rule.contrast[place])  # the minute before them
        return not self.on and max(self.ended.values()) <= began

    def _is_silent(self, lead: Lead) -> bool:
        """After a swing its sign rests, and longer in a window that still holds a part of it."""
        rest = max(self.rule.cooldown, self.rule.windows[lead.place])
        return self.minute < self.ended[_sign(lead.z)] + rest

    def _fire(self, lead: Lead) -> list[Turn]:
        turns = [self._turn("over", self._watched())] if self.on else []
        if self.on:
            self._end()
        self.on, self.age, self.low, self.fired_place = _sign(lead.z), 0, 0, lead.place
        self.against = self.contrasts[lead.place] if lead.is_contrast else None
        look = self._seen(self.looks[lead.place])
        self.onset, self.peak = self._find_onset(), look.d
        heard, unheard = self.panes[: -self.rule.lag - 1], self.panes[-self.rule.lag - 1 :]
        self.panes = heard + [pane._replace(is_clean=False) for pane in unheard]
        return [*turns, self._turn("fired", look)]

    def _seen(self, look: Look) -> Look:
        """A window as the swing is followed: against the level, or against what was before it when it fired."""
        if self.against is None:
            return look
        d = sum(self.wholes[-look.window :]) / 1e4 / look.n - self.against.before if look.n else 0.0
        variance = self.known.sigma2 / max(look.n, 1) + self.against.rest
        return Look(look.window, look.n, d, variance, d / sqrt(variance))

    def _find_onset(self) -> int:
        """The minute after the lowest point of a cumulative sum, the last of equals."""
        mu = self.known.mu
        weights = [1 / (self.known.sigma2 / pane.n + 0.015**2) if pane.n else 0.0 for pane in self.panes]
        means = [pane.s / pane.n if pane.n else 0.0 for pane in self.panes]
        total = sum(weights[-10:])
        recent = sum(w * x for w, x in zip(weights[-10:], means[-10:], strict=True)) / total if total else mu
        k = max(self.on * (recent - mu), 0.04) / 2
        c = lowest = 0.0
        first = onset = self.minute - len(self.panes) + 1
        for place, (w, x) in enumerate(zip(weights, means, strict=True)):
            c += w * (self.on * (x - mu) - k)
            if c <= lowest:
                lowest, onset = c, first + place + 1
        return min(onset, self.minute)

    def _watched(self) -> Look:
        """The window by which an active swing is followed: the one that fired, but no shorter than 15 minutes."""
        width = max(self.rule.windows[self.fired_place], 15)
        return self._seen(next(look for look in self.looks if look.window >= width))

    def _follow(self, tested: bool) -> list[Turn]:
        rule, look = self.rule, self._watched()
        self.age += 1
        if look.n >= rule.votes:
            self.peak = self.on * max(self.on * self.peak, self.on * look.d)
        if tested:
            is_low = abs(look.z) < rule.threshold / 2 or abs(look.d) < rule.floor / 2 or _sign(look.z) != self.on
            self.low = self.low + 1 if is_low else 0
        if self.hushed > self.minute:
            kind = "new ruler"
        elif self.low >= rule.clear:
            kind = "over"
        elif self.age >= rule.new_normal:
            kind = "new normal"
            self._adopt()
        else:
            return []
        turn = self._turn(kind, look)
        self._end()
        return [turn]

    def _adopt(self) -> None:
        """What has held for half a day is usual now."""
        n = sum(self.counts)
        self.p = min(self.rule.level_sure, n / self.known.sigma2)  # of few votes it is known no better
        self.a = self.p * (sum(self.wholes) / 1e4 / n - self._profile(self.minute)) if n else 0.0

    def _turn(self, kind: str, look: Look) -> Turn:
        tau = sqrt(self.known.tau2[self.rule.windows.index(look.window)])
        usual = self.known.mu if self.against is None else self.against.before
        return Turn(self.series, self.minute, kind, self.on, look.window, look.z, look.d, look.n, usual,
                    self.against is not None, look.variance, tau, self.onset, self.age, self.peak)

    # -- learning: the minute of an hour ago, by what was known before this one

    def _learn(self) -> None:
        known, minute = self.known, self.minute - self.rule.lag
        pane = self.panes[-1 - self.rule.lag]
        is_clean = pane.is_clean and not self.on
        has = is_clean and pane.n > 0
        sampling, mean = (known.sigma2 / pane.n, pane.s / pane.n) if has else (inf, 0.0)
        usual = self._profile(minute)
        clip = self.rule.winsor * sqrt(sampling + known.tau2[0] + known.doubt) if has else 0.0
        is_sure = self.p >= self.rule.level_sure
        above = mean - known.level
        self._learn_level(1 / (sampling + known.tau2[0]), _limit(above - usual, clip) if is_sure else above - usual)
        self._learn_hour(minute, 1 / (1 + sampling / 0.02**2), _limit(above, clip + abs(usual)) if is_sure else 0.0)
        self._learn_spread(pane if has else Pane())
        is_known = known.doubt <= self.rule.variance / self.rule.votes  # else nothing can be said of weather
        self._learn_weather(is_clean and self.is_ready and is_known)
        self.seen += self.panes[-1].n > 0

    def _learn_level(self, w: float, r: float) -> None:
        # The better the level is known, the sooner it forgets.
        half = self.rule.half_level * self.rule.half_known / max(self.p, 1.0)
        keep = 1 - log(2) / min(max(half, self.rule.half_level), self.rule.half_longest)
        most = 1 / self.rule.level_sd**2
        self.a = keep * self.a + w * (self.known.level + r)
        self.p = keep * self.p + w
        if self.p > most:
            self.a *= most / self.p
            self.p = most

    def _learn_hour(self, minute: int, w: float, r: float) -> None:
        hour, keep = minute // 60 % 24, 0.5 ** (24 / self.rule.half_profile)  # an hour is met in one minute of 24
        self.pa[hour] = keep * self.pa[hour] + w * r
        self.pw[hour] = keep * self.pw[hour] + w

    @property
    def _keep(self) -> float:
        return float(0.5 ** (1 / self.rule.half_variance))

    def _learn_spread(self, pane: Pane) -> None:
        rule = self.rule
        self.v0, self.v1, self.v3 = (self._keep * v for v in (self.v0, self.v1, self.v3))
        if pane.n > 1:
            x = pane.s / pane.n
            self.v1 += max(0.0, pane.q - pane.s**2 / pane.n)
            self.v0 += pane.n - 1
            self.v3 += pane.c - 3 * x * pane.q + 2 * pane.n * x**3
        k = max(rule.variance_weight - self.v0, 0.0)
        self.v0 += k
        self.v1 = max(self.v1 + rule.variance * k, 0.05 * self.v0)

    def _learn_weather(self, has: bool) -> None:
        """What each window's mean moves beyond sampling error and an uncertain level, or an uncertain minute before."""
        sigma2, doubt = self.known.sigma2, self.known.doubt
        for place, (look, contrast) in enumerate(zip(self.looks, self.contrasts, strict=True)):
            above = weight = 0.0
            if has and look.n:
                sampling = sigma2 / look.n
                weight = self._weight(sampling)
                above = weight * (min(look.d**2, 9 * look.variance) - sampling - doubt)
            self.tn[place], self.td[place] = self._add(self.tn[place], self.td[place], above, weight)
            above = weight = 0.0
            if has and contrast.n:
                sampling = sigma2 / look.n + sigma2 / contrast.n
                weight = self._weight(sampling)
                above = weight * (min(contrast.d**2, 9 * (sigma2 / look.n + contrast.rest)) - sampling)
            self.gn[place], self.gd[place] = self._add(self.gn[place], self.gd[place], above, weight)

    def _weight(self, sampling: float) -> float:
        return (self.rule.tau0**2 / (self.rule.tau0**2 + sampling)) ** 2

    def _add(self, total: float, weight: float, more: float, more_weight: float) -> tuple[float, float]:
        """Fades a weighted sum and adds to it; where little is seen, the prior comes back."""
        total, weight = self._keep * total + more, self._keep * weight + more_weight
        k = max(self.rule.tau_least - weight, 0.0)
        return total + self.rule.tau0**2 * k, weight + k
