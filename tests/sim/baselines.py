"""Baselines: what others do, on the same streams and with the same alert logic.

    a rule makes a signed score for each minute and brand; |score| >= h fires, at once; it is over after 15 minutes
    under h/2 or of the other sign; the same sign is silent for 60 minutes then

`z60`: the mean vote of the last hour against the last day of such means, 30 votes at least. The others are rules as the
pages of their makers describe them, rebuilt here on every post, and called by their kind; what a page leaves open is
chosen by us, and said beside the rule. It compares rules, not products. Rules for one direction (a dip is a rise of
negative posts) are mirrored, or they could not find half of the swings. They may look at counts of negative and
positive posts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.sim.judge import Alert
from tests.sim.streams import DAY, SCALE, WEEK, Floats, Streams

CLEAR, COOLDOWN = 15, 60


class Rule(NamedTuple):
    """A rule, the thresholds to try, and the one that its maker recommends (None: the user sets it)."""

    name: str
    score: Callable[[Streams], Floats]
    thresholds: tuple[float, ...]
    usual: float | None


def _back(values: NDArray[Any], width: int) -> Floats:
    """Sums over the last `width` minutes, the current one included."""
    total = np.cumsum(values, axis=0, dtype=np.float64)
    total[width:] -= total[:-width].copy()
    return total


def _before(values: Floats, minutes: int) -> Floats:
    """What stood there some minutes ago; nothing at first."""
    return np.concatenate([np.full((minutes, *values.shape[1:]), np.nan), values[:-minutes]])


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def _mean(streams: Streams, width: int, series: str = "raw") -> Floats:
    sums = getattr(streams, series)
    return _ratio(_back(sums[:, :, 1], width) / SCALE, _back(sums[:, :, 0], width))


def _share(streams: Streams, side: int, width: int) -> Floats:
    """Share of negative (0) or positive (1) posts."""
    return _ratio(_back(streams.classes[:, :, side], width), _back(streams.raw[:, :, 0], width))


def _spread(series: Floats, width: int, every: int = 1) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the last `width` values of a series with holes; one value in `every` minutes."""
    there = np.isfinite(series)
    there[np.arange(len(series)) % every != every - 1] = False
    filled = np.where(there, series, 0.0)
    n = _back(there, width)
    mean = _ratio(_back(filled, width), n)
    square = _ratio(_back(filled * filled, width), n)
    enough = n >= width / every / 4
    return np.where(enough, mean, np.nan), np.where(enough, np.sqrt(np.maximum(square - mean * mean, 1e-8)), np.nan)


def _at(score: Floats, every: int) -> Floats:
    """Looked at once in `every` minutes; what was seen stands until the next look."""
    looked = (np.arange(len(score)) + 1) // every * every - 1
    return np.where((looked >= 0)[:, None], np.nan_to_num(score)[np.maximum(looked, 0)], 0.0)


def _sides(down: Floats, up: Floats) -> Floats:
    """Two scores as one with a sign: the larger stands."""
    down, up = np.nan_to_num(down), np.nan_to_num(up)
    return np.where(down >= up, -np.maximum(down, 0), np.maximum(up, 0))


def z60(streams: Streams) -> Floats:
    """(Mean vote of 60 minutes - its mean over 24 h) / its sd over 24 h, with 30 votes or more."""
    enough = _back(streams.votes[:, :, 0], 60) >= 30
    series = np.where(enough, _mean(streams, 60, "votes"), np.nan)
    mean, spread = _spread(series, DAY)
    return np.nan_to_num((series - _before(mean, 1)) / _before(spread, 1))


def day_over_week(streams: Streams) -> Floats:
    """Hourly: mean of the last 24 h against mean + k sd of the last 7 days, of hourly moods."""
    hourly = _mean(streams, 60)
    mean, spread = _spread(hourly, WEEK, 60)
    return _at((_spread(hourly, DAY, 60)[0] - mean) / spread, 60)


def hour_less_week(streams: Streams) -> Floats:
    """The last hour's tone less the past week's. Looked at hourly; the user sets the difference."""
    return _at(_mean(streams, 60) - _mean(streams, WEEK), 60)


def counts_over_week(streams: Streams) -> Floats:
    """The last hour's negative (positive) posts over the hourly average of 7 days; 300 % recommended."""
    down, up = (_ratio(_back(streams.classes[:, :, side], 60), _back(streams.classes[:, :, side], WEEK) * 60 / WEEK)
                for side in (0, 1))
    return _at(_sides(down, up), 60)


def each_less_longer(streams: Streams) -> Floats:
    """Every 2 h: 1 h against 24 h, 24 h against 7 days, 7 days against 4 weeks. The user sets the difference."""
    hour, day, week, month = (_mean(streams, width) for width in (60, DAY, WEEK, 4 * WEEK))
    moves = np.nan_to_num(np.stack([hour - day, day - week, week - month]))
    largest = np.take_along_axis(moves, np.abs(moves).argmax(axis=0)[None], axis=0)[0]
    return _at(largest, 120)


def share_over_week(streams: Streams) -> Floats:
    """The negative (positive) share of an hour over that of 7 days. Three sensitivities, taken as x2, x1.5, x1.25."""
    return _sides(*(_ratio(_share(streams, side, 60), _share(streams, side, WEEK)) for side in (0, 1)))


def rise_of_share(streams: Streams) -> Floats:
    """Hourly: points that the negative (positive) share rose since the scan before, of 20 posts or more."""
    enough = _back(streams.raw[:, :, 0], 60) >= 20
    scans = [np.where(enough, 100 * _share(streams, side, 60), np.nan) for side in (0, 1)]
    return _at(_sides(*(scan - _before(scan, 60) for scan in scans)), 60)


RULES = (
    Rule("z-score 60 min / 24 h, votes", z60, (3, 3.5, 4, 4.5, 5, 6), 4.5),
    Rule("24 h against 7 days, in sd of hourly moods", day_over_week, (0.5, 1, 1.5, 2, 3), 2),
    Rule("hour less 7 days", hour_less_week, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), None),
    Rule("negative posts of the hour over the hourly mean of 7 days", counts_over_week, (2, 3, 4, 6, 9, 14), 3),
    Rule("hour, day, 7 days, 4 weeks, each less the next", each_less_longer, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), None),
    Rule("negative share of the hour over that of 7 days", share_over_week, (1.25, 1.5, 2, 3, 4, 6), 1.5),
    Rule("rise of the negative share in an hour, points", rise_of_share, (5, 10, 15, 20, 30, 40), 5),
)


def fire(score: Floats, threshold: float) -> list[Alert]:
    """The alerts of a score, (minutes, brands). Its onset is the minute itself: these rules know none."""
    return [alert for brand in range(score.shape[1]) for alert in _of_brand(brand, score[:, brand], threshold)]


class _Next:
    """The next minute, at or after one, at which something holds; one past the end if it never does again."""

    def __init__(self, holds: NDArray[np.bool_]) -> None:
        self._at, self.end = np.flatnonzero(holds), len(holds)

    def __call__(self, minute: int) -> int:
        place = int(np.searchsorted(self._at, minute))
        return int(self._at[place]) if place < len(self._at) else self.end


def _of_brand(brand: int, score: Floats, threshold: float) -> list[Alert]:
    hot = {sign: _Next(sign * score >= threshold) for sign in (-1, 1)}
    over = {sign: _Next(_run(sign * score < threshold / 2) >= CLEAR) for sign in (-1, 1)}
    free = {-1: 0, 1: 0}
    found: list[Alert] = []
    now, on, end = 0, 0, len(score)
    while True:
        when, sign = min((hot[sign](max(now, free[sign])), sign) for sign in (-1, 1) if sign != on)
        closed = over[on](now) if on else end
        if closed < when:
            found[-1] = found[-1]._replace(closed=closed)
            free[on], on, now = closed + COOLDOWN, 0, closed + 1
        elif when >= end:
            return found
        else:
            if on:
                found[-1] = found[-1]._replace(closed=when)
            found.append(Alert(brand, when, sign, when))
            on, now = sign, when + 1


def _run(holds: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For how many minutes it has held without a break."""
    places = np.arange(1, len(holds) + 1)
    return np.asarray(places - np.maximum.accumulate(np.where(holds, 0, places)))
