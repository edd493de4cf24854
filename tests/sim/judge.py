"""Judge: alerts against the truth, with intervals.

    an alert belongs to the first event of its brand with on <= minute <= stop + 30

    no event          false, "quiet"
    swing, its sign   caught if before its end; a second one, or one after the end, is a duplicate
    swing, not its    false, "wrong way"
    attack, boil,     counted for themselves: whether they are false depends on the label
      loud
    anything else     false, by its kind

Shares have Wilson's interval, rates Garwood's, quantiles that of the binomial order statistics; all of 95 %.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.sim.streams import WEEK, Event, Streams

ATTACKS = ("attack", "boil", "loud")
AFTER = 30  # minutes after an event's tail in which an alert is still laid to it
LEVEL = 0.95
Z = 1.959963984540054


# -- intervals --------------------------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """A figure and its interval; NaN where there is nothing to say."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Three digits that say something.

        >>> str(Figure(0.0902777, 0.0531, 0.1523))
        '0.090 [0.053, 0.152]'
        """
        return f"{_said(self.value)} [{_said(self.low)}, {_said(self.high)}]"


def _said(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.3g}"


NOTHING = Figure(math.nan, math.nan, math.nan)


def _poisson_tail(k: int, mean: float) -> float:
    """P(X <= k) of a Poisson, summed in logarithms."""
    if mean == 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k + 1)))


def _bisect(rises: Callable[[float], float], high: float) -> float:
    low = 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < 0 else (low, middle)
    return (low + high) / 2


def garwood(count: int, exposure: float) -> Figure:
    """A rate: so many events in an exposure (Garwood 1936).

    >>> [round(x, 2) for x in garwood(0, 1)], [round(x, 2) for x in garwood(10, 1)]
    ([0.0, 0.0, 3.69], [10.0, 4.8, 18.39])
    """
    if exposure <= 0:
        return NOTHING
    tail, ceiling = (1 - LEVEL) / 2, 2 * count + 40.0
    low = _bisect(lambda mean: 1 - _poisson_tail(count - 1, mean) - tail, ceiling) if count else 0.0
    high = _bisect(lambda mean: tail - _poisson_tail(count, mean), ceiling)
    return Figure(count / exposure, low / exposure, high / exposure)


def wilson(count: int, of: int) -> Figure:
    """A share (Wilson 1927).

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.8, 0.49, 0.943]
    """
    if of == 0:
        return NOTHING
    share, extra = count / of, Z * Z / of
    middle = (share + extra / 2) / (1 + extra)
    half = Z * math.sqrt(share * (1 - share) / of + extra / (4 * of)) / (1 + extra)
    return Figure(share, max(0.0, middle - half) if count else 0.0, min(1.0, middle + half) if count < of else 1.0)


def quantile(values: Iterable[float], p: float) -> Figure:
    """A quantile, and the two values between which it is: no shape is assumed. Too few values: no bound.

    >>> quantile(range(1, 101), 0.5)
    Figure(value=50.5, low=40, high=61)
    """
    found = sorted(values)
    n = len(found)
    if n == 0:
        return NOTHING
    place = p * (n - 1)
    lower = int(place)
    value = found[lower] + (place - lower) * (found[min(lower + 1, n - 1)] - found[lower])
    low, high, below = -math.inf, math.inf, 0.0  # below: P(Binomial(n, p) <= k - 1), k values under the quantile
    for k in range(n + 1):
        if below <= (1 - LEVEL) / 2 and k > 0:
            low = found[k - 1]
        if below >= (1 + LEVEL) / 2:
            high = found[k - 1]
            break
        below += math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
                          + k * math.log(p) + (n - k) * math.log1p(-p))
    return Figure(value, low, high)


# -- alerts -----------------------------------------------------------------------------------------------------------


class Alert(NamedTuple):
    """A detector's word. `closed`: the minute in which it said that it is over; -1 if it did not."""

    brand: int
    minute: int
    sign: int
    onset: int
    closed: int = -1
    window: int = 15  # that it was found in


class Said(Protocol):
    """What a detector returns, as far as the judge reads it."""

    @property
    def series(self) -> int: ...
    @property
    def minute(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def sign(self) -> int: ...
    @property
    def onset(self) -> int: ...
    @property
    def window(self) -> int: ...


class Stepper(Protocol):
    """A detector, as far as the judge drives it."""

    def step(self, minute: int, sums: NDArray[Any], tested: NDArray[Any], /) -> Sequence[Said]: ...


def run(detector: Callable[[int], Stepper], streams: Streams, series: str = "votes") -> list[Alert]:
    """Leads a fresh detector, made for so many brands, through the streams. `series`: votes or raw."""
    return run_beside(detector, [streams], series)[0]


def run_beside(
        detector: Callable[[int], Stepper], parts: Sequence[Streams], series: str = "votes") -> list[list[Alert]]:
    """The same for several streams of one length, all brands in one detector: its minutes cost little more for it."""
    made, sums = detector(sum(part.brands for part in parts)), [getattr(part, series) for part in parts]
    tested = np.concatenate([part.tested for part in parts], axis=1)
    found = alerts(turn for minute in range(len(tested))
                   for turn in made.step(minute, np.concatenate([part[minute] for part in sums]), tested[minute]))
    return parted(found, parts)


def parted(alerts: Iterable[Alert], parts: Sequence[Streams]) -> list[list[Alert]]:
    """Alerts of brands side by side, by the streams that the brands are of."""
    owner = [(part, brand) for part, streams in enumerate(parts) for brand in range(streams.brands)]
    found: list[list[Alert]] = [[] for _ in parts]
    for alert in alerts:
        part, brand = owner[alert.brand]
        found[part].append(alert._replace(brand=brand))
    return found


def alerts(turns: Iterable[Said]) -> list[Alert]:
    """The alerts among what a detector said, each with its end."""
    found: list[Alert] = []
    open_at: dict[int, int] = {}
    for turn in turns:
        before = open_at.pop(turn.series, None)
        if before is not None:
            found[before] = found[before]._replace(closed=turn.minute)
        if turn.kind == "fired":
            open_at[turn.series] = len(found)
            found.append(Alert(turn.series, turn.minute, turn.sign, turn.onset, window=turn.window))
    return found


# -- judgement --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Case:
    """An event and what was said of it. `first`: the alert that caught it, or was raised by it."""

    event: Event
    rate: float
    first: Alert | None = None
    again: int = 0  # duplicates
    wrong: int = 0  # the other way
    label: str = ""

    @property
    def delay(self) -> int:
        """Minutes from the start to the alert, the minute of the alert included."""
        assert self.first is not None
        return self.first.minute - self.event.on + 1


@dataclass(slots=True)
class Report:
    """All that section 9 of the specification asks for."""

    weeks: float
    weeks_of: dict[float, float]  # by volume
    cases: list[Case] = field(default_factory=list)
    false: Counter[tuple[str, float]] = field(default_factory=Counter)  # by kind and volume

    def __add__(self, other: "Report") -> "Report":
        weeks_of = {rate: self.weeks_of.get(rate, 0) + other.weeks_of.get(rate, 0)
                    for rate in sorted({*self.weeks_of, *other.weeks_of})}
        return Report(self.weeks + other.weeks, weeks_of, self.cases + other.cases, self.false + other.false)

    def of(self, kind: str) -> list[Case]:
        """The cases of one kind."""
        return [case for case in self.cases if case.event.kind == kind]

    @property
    def detectable(self) -> list[Case]:
        """The swings that an oracle sees in time."""
        return [case for case in self.of("swing") if case.event.detectable]

    def false_rate(self, kind: str | None = None, rate: float | None = None) -> Figure:
        """False alarms a brand-week: all, of one kind, at one volume."""
        count = sum(n for (what, volume), n in self.false.items()
                    if kind in (None, what) and rate in (None, volume))
        return garwood(count, self.weeks if rate is None else self.weeks_of[rate])

    def recall(self, size: float | None = None, rate: float | None = None, at_least: float = 0.0) -> Figure:
        """Share of the detectable swings that were caught."""
        return _share(_some(self.detectable, size, rate, at_least))

    def recall_of_all(self) -> Figure:
        """Share of all swings that were caught, those that nobody can see included."""
        return _share(self.of("swing"))

    def delay(self, p: float = 0.5, size: float | None = None, rate: float | None = None) -> Figure:
        """Minutes to the alert, of detectable swings that were caught."""
        return quantile((case.delay for case in _some(self.detectable, size, rate) if case.first), p)

    def above_floor(self, p: float = 0.5) -> Figure:
        """Minutes that the alert came after the oracle's."""
        return quantile((case.delay - (case.event.floor or 0) for case in self.detectable if case.first), p)

    def onset_error(self, p: float = 0.5) -> Figure:
        """Minutes by which the onset is off, either way."""
        return quantile((abs(case.first.onset - case.event.on) for case in self.of("swing") if case.first), p)

    def onset_bias(self) -> Figure:
        """Median of the same with its sign; above 0 is too late."""
        return quantile((case.first.onset - case.event.on for case in self.of("swing") if case.first), 0.5)

    def raised(self, kind: str) -> Figure:
        """Share of the events of a kind (not swings) that raised an alert."""
        return _share(self.of(kind))

    def as_organic(self, kinds: Sequence[str] = ATTACKS) -> Figure:
        """Share of the attacks that were presented as organic. Without labels, every alert is."""
        cases = [case for case in self.cases if case.event.kind in kinds]
        return wilson(sum(case.first is not None and case.label in ("", "organic") for case in cases), len(cases))

    def duplicates(self) -> Figure:
        """Further alerts for each swing caught."""
        caught = sum(case.first is not None for case in self.of("swing"))
        return garwood(sum(case.again for case in self.of("swing")), caught)

    def early_clears(self) -> Figure:
        """Share of the swings caught whose alert was closed before they ended."""
        caught = [case for case in self.of("swing") if case.first]
        return wilson(sum(-1 < case.first.closed < case.event.end for case in caught if case.first), len(caught))

    def figures(self) -> dict[str, Figure]:
        """Everything, by name."""
        kinds = sorted({case.event.kind for case in self.cases} - {"swing"})
        found = {"false alarms a week": self.false_rate()}
        found |= {f"false alarms a week, {kind}": self.false_rate(kind) for kind in sorted({k for k, _ in self.false})}
        found |= {f"false alarms a week at {rate:g}/min": self.false_rate(rate=rate) for rate in self.weeks_of}
        if self.detectable:
            found |= self._of_swings()
        found |= {f"{kind}s that alert": self.raised(kind) for kind in kinds}
        if set(kinds) & set(ATTACKS):
            found["attacks presented as organic"] = self.as_organic()
        return found

    def _of_swings(self) -> dict[str, Figure]:
        sizes, rates = sorted({case.event.size for case in self.detectable}), self.weeks_of
        return {
            "recall": self.recall(), "recall of all": self.recall_of_all(), "recall >= 0.35": self.recall(at_least=0.3),
            **{f"recall of {size:.2f}": self.recall(size=size) for size in sizes},
            **{f"recall at {rate:g}/min": self.recall(rate=rate) for rate in rates},
            "delay": self.delay(), "delay p90": self.delay(0.9),
            **{f"delay of {size:.2f}": self.delay(size=size) for size in sizes},
            **{f"delay at {rate:g}/min": self.delay(rate=rate) for rate in rates},
            "above floor": self.above_floor(), "above floor p90": self.above_floor(0.9),
            "duplicates a caught swing": self.duplicates(), "early clears": self.early_clears(),
            "onset error": self.onset_error(), "onset error p90": self.onset_error(0.9),
            "onset bias": self.onset_bias(),
        }

    def brief(self) -> str:
        """One line: what is looked at first."""
        parts = [f"FA/wk {self.false_rate()}"]
        if self.detectable:
            parts += [f"recall {self.recall()}", f"delay {self.delay().value:.0f}/{self.delay(0.9).value:.0f}",
                      f"floor+{self.above_floor().value:.0f}", f"dup {self.duplicates().value:.2f}",
                      f"early {self.early_clears().value:.2f}",
                      f"onset {self.onset_error().value:.0f}/{self.onset_error(0.9).value:.0f}"]
        parts += [f"{kind} {self.raised(kind).value:.2f}" for kind in sorted({c.event.kind for c in self.cases})
                  if kind != "swing"]
        return ", ".join(parts)


def _share(cases: Sequence[Case]) -> Figure:
    return wilson(sum(case.first is not None for case in cases), len(cases))


def _some(cases: Iterable[Case], size: float | None = None, rate: float | None = None,
          at_least: float = 0.0) -> list[Case]:
    return [case for case in cases if size in (None, case.event.size) and rate in (None, case.rate)
            and case.event.size >= at_least]


def _blank(streams: Streams) -> tuple[Report, list[list[Case]]]:
    cases = [[Case(event, rate) for event in events]
             for events, rate in zip(streams.events, streams.rates, strict=True)]
    share = streams.weeks / streams.brands
    weeks_of = {rate: share * n for rate, n in sorted(Counter(streams.rates).items())}
    return Report(streams.weeks, weeks_of, [case for brand in cases for case in brand]), cases


def _laid(cases: Sequence[Case], minute: int) -> Case | None:
    return next((case for case in cases if case.event.on <= minute <= case.event.stop + AFTER), None)


def judge(alerts: Sequence[Alert], streams: Streams, labels: Sequence[str] | None = None) -> Report:
    """What alerts are worth. `labels`: organic, amplified or coordinated, one for each alert."""
    report, cases = _blank(streams)
    for alert, label in sorted(zip(alerts, labels or [""] * len(alerts), strict=True), key=lambda pair: pair[0].minute):
        if alert.minute < WEEK:
            continue
        case = _laid(cases[alert.brand], alert.minute)
        kind = _lay(case, alert, label)
        if kind:
            report.false[kind, streams.rates[alert.brand]] += 1
    return report


def _lay(case: Case | None, alert: Alert, label: str) -> str:
    """Enters an alert in its case; the kind of false alarm that it is, or nothing."""
    if case is None:
        return "quiet"
    event = case.event
    if event.kind == "swing":
        if alert.sign != event.sign:
            case.wrong += 1
            return "wrong way"
        if case.first or alert.minute > event.end:
            case.again += 1
        else:
            case.first, case.label = alert, label
        return ""
    if case.first is None:
        case.first, case.label = alert, label
    elif label == "organic":
        case.label = label  # once is enough
    return "" if event.kind in ATTACKS else event.kind


# -- volume -----------------------------------------------------------------------------------------------------------

FACTORS = (5.0, 10.0, 20.0, 40.0)


@dataclass(slots=True)
class Loudness:
    """Spikes of volume: bursts caught, and false alarms where nothing made the volume rise."""

    weeks: float
    bursts: list[Case]
    others: Counter[str] = field(default_factory=Counter)  # attacks, swings with volume: right, and not asked for
    false: int = 0
    again: int = 0

    def __add__(self, other: "Loudness") -> "Loudness":
        return Loudness(self.weeks + other.weeks, self.bursts + other.bursts, self.others + other.others,
                        self.false + other.false, self.again + other.again)

    def recall(self, low: float = 0.0, high: float = math.inf) -> Figure:
        """Share of the bursts with a factor in [low, high) that were caught."""
        return _share([case for case in self.bursts if low <= case.event.factor < high])

    def figures(self) -> dict[str, Figure]:
        """Everything, by name."""
        delays = [case.delay for case in self.bursts if case.first]
        return {
            "false alarms a week": garwood(self.false, self.weeks), "recall": self.recall(),
            **{f"recall x{low:g} to x{high:g}": self.recall(low, high) for low, high in pairwise(FACTORS)},
            "delay": quantile(delays, 0.5), "delay p90": quantile(delays, 0.9),
            "duplicates a caught burst": garwood(self.again, len(delays)),
        }


def judge_volume(alerts: Sequence[Alert], streams: Streams) -> Loudness:
    """What the alerts of a volume detector are worth. Signs are not read."""
    report, cases = _blank(streams)
    loud = Loudness(report.weeks, report.of("burst"))
    for alert in sorted(alerts, key=lambda alert: alert.minute):
        case = _laid(cases[alert.brand], alert.minute)
        if alert.minute < WEEK:
            continue
        if case is None or (case.event.factor == 1 and not case.event.copies and case.event.kind != "replay"):
            loud.false += 1
        elif case.event.kind != "burst":
            loud.others[case.event.kind] += 1
        elif case.first or alert.minute > case.event.end:
            loud.again += 1
        else:
            case.first = alert
    return loud
