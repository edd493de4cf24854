"""Soak: a storm for an hour, one fault a minute, and the memory of every worker meanwhile.

A worker that is killed begins anew, so memory is looked at life by life: what a life's first minute holds is its start.
The slope is that of all lives together, each with a level of its own (least squares): restarts neither hide a leak nor
make one. Knows nothing of faults.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from tests.faults.storm.crew import Crew

EVERY_S = 10.0
SETTLING_S = 60.0  # of each life
HOUR_S = 3600.0
MOST_MB_PER_H = 30.0  # of a role's slope
ENOUGH_MIN = 20.0  # of the longest life; a slope over less is that of starts


class Sample(NamedTuple):
    """The memory of one worker at one moment."""

    role: str
    life: tuple[str, int]  # whose, and which start
    at_s: float  # since the beginning of the soak
    age_s: float
    rss_mb: float


class Memory:
    """Samples all workers every 10 s within a `with`."""

    def __init__(self, crew: Crew) -> None:
        self.samples: list[Sample] = []
        self._crew = crew
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(EVERY_S)

    def _run(self) -> None:
        begun_s = time.monotonic()
        while not self._over.wait(EVERY_S):
            now_s = time.monotonic()
            for worker in list(self._crew.workers):
                rss_mb = worker.rss_mb()
                if rss_mb is not None:
                    self.samples.append(Sample(worker.role, (worker.name, worker.starts), now_s - begun_s,
                                               now_s - worker.started_s, rss_mb))


def summary(samples: Sequence[Sample], steady_s: float) -> dict[str, Mapping[str, float]]:
    """Role -> first, median and last memory (MB) from `steady_s` on, the slope (MB an hour) within lives, over how many
    minutes there are samples, and how many of them the longest life has.

    >>> life = [Sample("pulse", ("pulse-0", 1), at, at, 100 + at / 60) for at in (90, 300)]
    >>> summary(life, 0)["pulse"]["slope_mb_per_h"]
    60.0
    """
    of: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        if one.at_s >= steady_s and one.age_s >= SETTLING_S:
            of[one.role].append(one)
    return {role: _of(some) for role, some in sorted(of.items())}


def leaks(memory: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Which roles of a `summary` grow faster than a steady worker may; none where no life was long enough.

    >>> leaks({"pulse": {"slope_mb_per_h": 31.0, "longest": 50.0}, "score": {"slope_mb_per_h": 90.0, "longest": 5.0}})
    ['pulse: memory grows by 31 MB an hour']
    """
    return [f"{role}: memory grows by {one['slope_mb_per_h']:.0f} MB an hour" for role, one in memory.items()
            if one["longest"] >= ENOUGH_MIN and one["slope_mb_per_h"] > MOST_MB_PER_H]


def _of(some: Sequence[Sample]) -> dict[str, float]:
    rss = [one.rss_mb for one in some]
    lives: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in some:
        lives[one.life].append(one.at_s)
    longest_s = max(ats[-1] - ats[0] for ats in lives.values())
    # First and last are of a tenth of the samples: one sample is an accident.
    few = max(len(rss) // 10, 1)
    return {"first_mb": round(median(rss[:few]), 1), "median_mb": round(median(rss), 1),
            "last_mb": round(median(rss[-few:]), 1), "most_mb": round(max(rss), 1),
            "slope_mb_per_h": round(slope(some) * HOUR_S, 1), "lives": len(lives), "samples": len(rss),
            "minutes": round((some[-1].at_s - some[0].at_s) / 60, 1), "longest": round(longest_s / 60, 1)}


def slope(some: Sequence[Sample]) -> float:
    """MB a second within lives; 0 where no life has two moments."""
    by_life: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for one in some:
        by_life[one.life].append(one)
    together = spread = 0.0
    for life in by_life.values():
        at, rss = (sum(column) / len(life) for column in zip(*((one.at_s, one.rss_mb) for one in life), strict=True))
        together += sum((one.at_s - at) * (one.rss_mb - rss) for one in life)
        spread += sum((one.at_s - at) ** 2 for one in life)
    return together / spread if spread else 0.0
