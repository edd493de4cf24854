"""Chance: how often a swing as sure as this one comes by chance, and how far off an onset is.

Counted on made-up publics (`python -m tests.sim --full --write`): false alarms of the detector at each threshold where
nothing happens, in so many brand-weeks, for a calm mood and for a restless one. What was hardly seen is not said: below
three alarms the rate is only bounded by three (of which one at least would have been seen with 95 %).
Knows nothing of how a swing is found.
"""

from bisect import bisect_right
from typing import NamedTuple

FEW = 3  # alarms: fewer are a bound and no rate


class Null(NamedTuple):
    """Publics in which nothing happens. `weather`: the median of tau; `alarms`: threshold -> false alarms."""

    weather: float
    weeks: float
    alarms: tuple[tuple[float, int], ...]


# Written by `python -m tests.sim --full --write`.
ONSET_MINUTES = (-14, 3)  # of the true onset about the one that is told, nine in ten
NULLS = (
    Null(0.020, 576, ((3.5, 689), (4, 97), (4.5, 10), (4.75, 1), (5, 0), (5.5, 0), (6, 0))),
    Null(0.039, 576, ((3.5, 961), (4, 159), (4.5, 12), (4.75, 4), (5, 2), (5.5, 1), (6, 0))),
)
# Until here.


def by_chance(z: float, weather: float) -> tuple[float, bool]:
    """Weeks from one such swing by chance to the next, for a brand of this weather; and whether that is only a bound.

    >>> weeks, is_bound = by_chance(-4.6, 0.012)
    >>> weeks > 10, is_bound
    (True, False)
    >>> by_chance(99.0, 0.012)[1]
    True
    """
    null = min(NULLS, key=lambda one: abs(one.weather - weather))
    place = max(bisect_right([threshold for threshold, _ in null.alarms], abs(z)) - 1, 0)
    alarms = null.alarms[place][1]
    return (null.weeks / alarms, False) if alarms >= FEW else (null.weeks / FEW, True)
