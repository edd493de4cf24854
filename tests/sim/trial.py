"""Trial: presets side by side in one detector, and the others on the same streams.

    the detector at its threshold     every preset
    the curve over thresholds         calm, noisy-real, null
    z-score and other makers' rules   calm, noisy-real
    the detector on every post        where there are attacks: do the two tests together see them?
    spikes of volume                  every preset

Knows nothing of tables.
"""

import hashlib
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from streams.heart.incident import Copies
from streams.heart.reasons import authenticity
from streams.heart.swing import Detector, Knobs
from streams.heart.volume import Volume
from tests.sim import baselines, judge, streams
from tests.sim.judge import Alert, Loudness, Report
from tests.sim.streams import DAY, Streams

CURVE = (3.5, 4.0, 4.75, 5.0, 5.5, 6.0)  # besides the usual one
COMPARED = ("calm", "noisy-real")
ATTACKED = ("calm", "noisy-real", "evasion", "slow-boil", "loud", "amplified")


class Plan(NamedTuple):
    """What to try: a preset, and how much of it. `first`: its first brand."""

    preset: str
    seed: int
    brands: int
    weeks: int
    first: int = 0

    @property
    def is_null(self) -> bool:
        """Does nothing happen?"""
        return not streams.PRESETS[self.preset].kinds


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    plan: Plan
    found: Report
    volume: Loudness
    on_posts: Report | None = None  # the same detector on every post
    curve: dict[float, Report] = field(default_factory=dict)
    rules: dict[str, dict[float, Report]] = field(default_factory=dict)
    weather: float = 0.0  # the median of tau over 15 minutes, at the end
    us_per_pane: float = 0.0
    bytes_per_brand: float = 0.0

    def __add__(self, other: "Outcome") -> "Outcome":
        """The same trial with more brands."""
        posts = self.on_posts + other.on_posts if self.on_posts and other.on_posts else None
        rules = {name: _added(reports, other.rules[name]) for name, reports in self.rules.items()}
        return replace(self, plan=self.plan._replace(brands=self.plan.brands + other.plan.brands),
                       found=self.found + other.found, volume=self.volume + other.volume, on_posts=posts,
                       curve=_added(self.curve, other.curve), rules=rules)


def _added(some: dict[float, Report], more: dict[float, Report]) -> dict[float, Report]:
    return {h: report + more[h] for h, report in some.items()}


def seeds_of(tag: str) -> tuple[int, int, int, int]:
    """The seeds of a release: calm, noisy-real, null, the rest. SHA-256 of tag + "swing", in four words."""
    first, second, third, fourth = struct.unpack(">4Q", hashlib.sha256(f"{tag}swing".encode()).digest())
    return first, second, third, fourth


def seed_for(preset: str, seeds: Sequence[int]) -> int:
    """Which of the four seeds is a preset's."""
    return seeds[{"calm": 0, "noisy-real": 1, "null-calm": 2, "null-noisy-real": 2}.get(preset, 3)]


def attempt(plans: Sequence[Plan], is_brief: bool = False) -> list[Outcome]:
    """Makes the streams of the plans and judges everyone on them. Brief: the detector and the z-score, no more."""
    made = [streams.make(plan.preset, plan.seed, plan.brands, plan.weeks, plan.first) for plan in plans]
    outcomes = _detect(plans, made)
    for outcome, one in zip(outcomes, made, strict=True):
        if is_brief and not outcome.plan.is_null:
            outcome.rules = _rules(one, baselines.RULES[:1])
        elif outcome.plan.preset in COMPARED:
            outcome.rules = _rules(one, baselines.RULES)
    if not is_brief:
        _on_posts(outcomes, made)
        _curves(outcomes, made)
    return outcomes


def _detect(plans: Sequence[Plan], made: Sequence[Streams]) -> list[Outcome]:
    detector = Detector(Knobs(), sum(one.brands for one in made))
    began_s = time.perf_counter()
    alerts = judge.run_beside(lambda _: detector, made)
    took_us = (time.perf_counter() - began_s) * 1e6
    loud = spikes(made)
    tau = _weather(detector, made)
    return [Outcome(plan, judge.judge(alerts[at], one, labels(alerts[at], one)), judge.judge_volume(loud[at], one),
                    weather=tau[at], us_per_pane=took_us / one.minutes / detector.series,
                    bytes_per_brand=len(detector.snapshot()) / detector.series)
            for at, (plan, one) in enumerate(zip(plans, made, strict=True))]


def _weather(detector: Detector, made: Sequence[Streams]) -> list[float]:
    stats = detector.stats
    assert stats is not None
    tau = np.sqrt(stats.tau2[:, detector.knobs.windows.index(15)])
    ends = np.cumsum([one.brands for one in made])
    return [float(np.median(part)) for part in np.split(tau, ends[:-1])]


def _chosen(outcomes: Sequence[Outcome], made: Sequence[Streams], presets: Sequence[str]) -> tuple[
        list[Outcome], list[Streams]]:
    places = [at for at, outcome in enumerate(outcomes) if outcome.plan.preset in presets]
    return [outcomes[at] for at in places], [made[at] for at in places]


def _reports(threshold: float, made: Sequence[Streams], series: str = "votes") -> list[Report]:
    alerts = judge.run_beside(lambda brands: Detector(Knobs(threshold=threshold), brands), made, series)
    return [judge.judge(some, one) for some, one in zip(alerts, made, strict=True)]


def _on_posts(outcomes: Sequence[Outcome], made: Sequence[Streams]) -> None:
    some, there = _chosen(outcomes, made, ATTACKED)
    if some:
        for outcome, report in zip(some, _reports(Knobs().threshold, there, "raw"), strict=True):
            outcome.on_posts = report


def _curves(outcomes: Sequence[Outcome], made: Sequence[Streams]) -> None:
    some, there = _chosen(outcomes, made, [*COMPARED, *(o.plan.preset for o in outcomes if o.plan.is_null)])
    for outcome in some:
        outcome.curve[Knobs().threshold] = outcome.found
    for threshold in CURVE if some else ():
        for outcome, report in zip(some, _reports(threshold, there), strict=True):
            outcome.curve[threshold] = report


def _rules(made: Streams, rules: Sequence[baselines.Rule]) -> dict[str, dict[float, Report]]:
    found: dict[str, dict[float, Report]] = {}
    for rule in rules:
        score = rule.score(made)
        found[rule.name] = {h: judge.judge(baselines.fire(score, h), made) for h in rule.thresholds}
    return found


def labels(alerts: Sequence[Alert], made: Streams) -> list[str]:
    """The word for each alert, from votes to posts in its window, and in the day before.

    A natural post is a vote here, so posts that are not votes are copies; how many authors there are is not drawn.
    """
    n = np.stack([made.votes[:, :, 0], made.raw[:, :, 0]])
    return [_label(n[:, :, alert.brand], alert) for alert in alerts]


def _label(n: streams.Ints, alert: Alert) -> str:
    since = alert.minute + 1 - alert.window
    votes, posts = n[:, since : alert.minute + 1].sum(axis=1).tolist()
    usual_votes, usual_posts = n[:, max(0, since - DAY) : since].sum(axis=1).tolist()
    usual, now = usual_votes / max(usual_posts, 1), votes / max(posts, 1)
    return authenticity(Copies(min(1.0, now / max(usual, 1e-9)), usual, copied=1 - now), True, True, 1 - usual)


def spikes(made: Sequence[Streams]) -> list[list[Alert]]:
    """The alerts of the volume detector, by streams; they go up."""
    volume = Volume(series=sum(one.brands for one in made))
    tested = np.concatenate([one.tested for one in made], axis=1)
    found = [Alert(spike.series, minute, 1, spike.onset)
             for minute in range(len(tested))
             for spike in volume.step(minute, np.concatenate([one.raw[minute, :, 0] for one in made]), tested[minute])
             if spike.kind == "fired"]
    return judge.parted(found, made)


def best(reports: dict[float, Report], most: float = 0.1) -> tuple[float, Report] | None:
    """The setting with the highest recall among those of no more than so many false alarms a week."""
    fit = [(h, report) for h, report in reports.items() if report.false_rate().value <= most]
    return max(fit, key=lambda pair: pair[1].recall().value) if fit else None
