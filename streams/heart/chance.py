"""Chance: how often a swing as sure as this one comes by chance.

Counted on streams in which nothing happens (`python -m tests.sim --null`, development seeds): false alarms of the
detector at each threshold, in so many brand-weeks, for a calm mood and for a restless one. What was never seen is not
said: where no alarm fell, the rate is only bounded (3 events at 95 %).
Knows nothing of how a swing is found.
"""

from bisect import bisect_right
from typing import NamedTuple

# Minutes between the onset that is told and the true one, of nine in ten: the 5 % and 95 % quantiles.
ONSET_MINUTES = (-22, 3)


class Null(NamedTuple):
    """Streams without events. `weather`: the median of tau; `alarms`: threshold -> false alarms."""

    weather: float
    weeks: float
    alarms: tuple[tuple[float, int], ...]


NULLS = (
    Null(0.012, 288.0, ((4.5, 8), (5.0, 2))),
    Null(0.09, 288.0, ((4.5, 14), (5.0, 0))),
)


def by_chance(z: float, weather: float) -> tuple[float, bool]:
    """Weeks from one such swing by chance to the next, for a brand of this weather; and whether that is only a bound.

    >>> weeks, is_bound = by_chance(4.5, 0.012)
    >>> weeks > 10, is_bound
    (True, False)
    """
    null = min(NULLS, key=lambda one: abs(one.weather - weather))
    place = max(bisect_right([threshold for threshold, _ in null.alarms], abs(z)) - 1, 0)
    alarms = null.alarms[place][1]
    return (null.weeks / alarms, False) if alarms else (null.weeks / 3.0, True)
