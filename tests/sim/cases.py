"""Cases: what a detector must do and leave, one question each; a week of usual mood, then something happens, or not.

         a week of history          6 h                 6 h
    ─────────────────────────┬───────────────┬───────────────────────
     20 % negative, 30 %      angry posts, a   as before the week, and
     positive, one rate       step, a burst    a step that lasts, on

Quiet is a public whose mood never moves by itself; weather is that of the calm preset. Every stream of a case is drawn
from a generator of its own. Knows nothing of detectors.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from tests.sim.streams import DAY, WEEK, Floats, Ints, _natural, _scores, ar, shares, tilt_to

BASE = np.array([0.20, 0.50, 0.30])
HELD = 360  # minutes that a step lasts
STREAMS = 40


@dataclass(frozen=True, slots=True)
class Case:
    """What happens after the week. `rate`: votes a minute; times in minutes."""

    name: str
    rate: float
    has_weather: bool = False
    angry: int = 0  # posts, all negative,
    within: int = 0  # spread over so many minutes
    step: float = 0.0  # of net mood
    burst: float = 1.0  # factor of the volume, for an hour
    held: int = HELD
    minutes: int = WEEK + 2 * HELD


def make(case: Case, streams: int = STREAMS) -> Ints:
    """The minutes of so many streams of a case: (minutes, streams, 4), n, s, q, c."""
    seed = zlib.crc32(case.name.encode())
    made = [_stream(case, np.random.default_rng([seed, stream])) for stream in range(streams)]
    return np.stack(made, axis=1)


def _stream(case: Case, rng: np.random.Generator) -> Ints:
    tilt, volume = np.zeros(case.minutes), np.full(case.minutes, float(case.rate))
    if case.step:
        tilt[WEEK : WEEK + case.held] += tilt_to(BASE, 0.0, case.step)
    if case.has_weather:
        tilt += _weather(rng, case.minutes)
    volume[WEEK : WEEK + 60] *= case.burst
    sums, _ = _natural(rng, rng.poisson(volume).astype(np.int64), shares(BASE, tilt))
    if case.angry:
        minutes, counts = np.unique(rng.integers(0, case.within, case.angry), return_counts=True)
        sums[WEEK + minutes] += np.column_stack([counts, _scores(rng, counts, 0)])
    return sums


def _weather(rng: np.random.Generator, minutes: int) -> Floats:
    return ar(rng, minutes, 0.05, 45) + rng.normal(0, 0.03, minutes)


def lasting(rate: float) -> Case:
    """A step of -0.35 that never ends."""
    return Case(f"lasting {rate:g}", rate, step=-0.35, held=3 * DAY, minutes=WEEK + 3 * DAY)


CASES = (
    Case("three angry", 0.05, angry=3, within=30),
    Case("ten angry", 0.05, angry=10, within=10),
    Case("fifteen angry", 0.05, angry=15, within=10),
    Case("twenty-five angry", 0.05, angry=25, within=10),
    Case("small brand, quiet", 1, step=-0.6),
    Case("small brand, weather", 1, has_weather=True, step=-0.6),
    Case("up", 200, step=0.20),
    Case("-0.08, quiet", 1000, step=-0.08),
    Case("-0.08, weather", 1000, has_weather=True, step=-0.08),
    Case("-0.05, quiet", 1000, step=-0.05),
    Case("-0.05, weather", 1000, has_weather=True, step=-0.05),
    Case("burst", 30, burst=20),
    Case("burst, weather", 30, has_weather=True, burst=20),
)
LASTING = tuple(lasting(rate) for rate in (30, 200, 1000))
