"""Schedule: which fault comes when. The same seed gives the same faults.

Faults are dealt from a deck that holds each kind once, shuffled anew when it is used up: in a few runs every kind has
come as often as any other. Times are minutes of the public, so a slow machine meets the same faults between the same
posts. Knows nothing of processes, brokers or posts.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from random import Random
from typing import NamedTuple


class Kind(StrEnum):
    """What goes wrong. Where two workers are named, `score` and `pulse` say of which kind the victim is."""

    SCORE_KILL = "score-kill"  # kill -9, and a start at once
    SCORE_KILL_PAUSE = "score-kill-pause"  # and a start after a while
    SCORE_TERM = "score-term"
    SCORE_TERM_PAUSE = "score-term-pause"
    SCORE_FREEZE = "score-freeze"  # SIGSTOP until its session is over and a little more: it comes back as a zombie
    SCORE_UP = "score-up"
    SCORE_DOWN = "score-down"
    PULSE_KILL = "pulse-kill"
    PULSE_KILL_PAUSE = "pulse-kill-pause"
    PULSE_TERM = "pulse-term"
    PULSE_TERM_PAUSE = "pulse-term-pause"
    PULSE_FREEZE = "pulse-freeze"
    PULSE_UP = "pulse-up"
    PULSE_DOWN = "pulse-down"
    PULSE_KILL_ALL = "pulse-kill-all"
    BROKER_KILL = "broker-kill"
    BROKER_TERM = "broker-term"
    BROKER_FREEZE = "broker-freeze"
    BROKER_AWAY = "broker-away"  # killed, and away until workers' own sends have failed
    PAIR = "pair"  # two of the above at the same moment
    MODEL_DOWN = "model-down"  # it fails on every text, for a while
    POSTS_AGAIN = "posts-again"
    FRAMES_AGAIN = "frames-again"  # as a zombie would
    OLDER_AGAIN = "older-again"  # older versions after newer ones
    LATE = "late"  # at the edge of the grace, and beyond it
    REMOVED_BEFORE = "removed-before"  # a removal overtakes its post
    EDITS = "edits"
    BROKEN = "broken"  # records that are no post
    POISON = "poison"  # texts on which the model fails
    BURST = "burst"  # more at once than the workers can take


SESSION_S = 4.0
SCALE: Mapping[Kind, tuple[str, int]] = {
    Kind.SCORE_UP: ("score", 1), Kind.SCORE_DOWN: ("score", -1),
    Kind.PULSE_UP: ("pulse", 1), Kind.PULSE_DOWN: ("pulse", -1),
}
BACK = {(role, by): kind for kind, (role, by) in SCALE.items()}
LEAST, MOST = 1, 3  # workers of a role
AT_FIRST: Mapping[str, int] = {"score": 2, "pulse": 2}
SPANS_S: Mapping[Kind, tuple[float, float]] = {
    **dict.fromkeys((Kind.SCORE_KILL_PAUSE, Kind.SCORE_TERM_PAUSE, Kind.PULSE_KILL_PAUSE, Kind.PULSE_TERM_PAUSE),
                    (0.5, 6.0)),
    **dict.fromkeys((Kind.SCORE_FREEZE, Kind.PULSE_FREEZE), (SESSION_S + 1, SESSION_S + 4)),
    **dict.fromkeys((Kind.BROKER_KILL, Kind.BROKER_TERM), (0.0, 4.0)),
    Kind.BROKER_FREEZE: (1.0, 8.0),
    Kind.BROKER_AWAY: (32.0, 42.0),  # a send of a worker fails after 30 s
    Kind.PULSE_KILL_ALL: (0.0, 3.0),
    Kind.MODEL_DOWN: (1.0, 6.0),
}
PAIRED = (Kind.SCORE_KILL, Kind.SCORE_TERM_PAUSE, Kind.SCORE_FREEZE, Kind.PULSE_KILL, Kind.PULSE_TERM_PAUSE,
          Kind.PULSE_FREEZE, Kind.PULSE_KILL_ALL, Kind.BROKER_KILL, Kind.BROKER_TERM, Kind.BROKER_FREEZE)
BROKERS = frozenset({Kind.BROKER_KILL, Kind.BROKER_TERM, Kind.BROKER_FREEZE, Kind.BROKER_AWAY})
USUAL = tuple(kind for kind in Kind if kind is not Kind.BROKER_AWAY)  # a soak has time for that one too
CHEAP = tuple(kind for kind in USUAL if kind not in {
    Kind.SCORE_TERM_PAUSE, Kind.PULSE_TERM_PAUSE, Kind.SCORE_KILL_PAUSE, Kind.PULSE_KILL_PAUSE, Kind.PAIR})


class Fault(NamedTuple):
    """One fault: when (minutes of the public), what, a number to choose the victim by, and how long it lasts (s)."""

    minute: float
    kind: Kind
    number: int
    span_s: float
    beside: Kind | None = None  # the first of a pair is another kind, this one comes with it


def schedule(seed: str, count: int, minutes: tuple[float, float], kinds: Sequence[Kind] = USUAL) -> list[Fault]:
    """So many faults within [first, last) minutes, in order.

    >>> [fault.kind.value for fault in schedule("1", 2, (0, 10), [Kind.EDITS])]
    ['edits', 'edits']
    """
    rng = Random(f"storm {seed}")
    first, last = minutes
    step = (last - first) / max(count, 1)
    return [Fault(first + step * (place + rng.random()), *_what(kind, rng))
            for place, kind in zip(range(count), _fitting(_dealt(rng, kinds)), strict=False)]


def _dealt(rng: Random, kinds: Sequence[Kind]) -> Iterator[Kind]:
    while True:
        yield from rng.sample(kinds, len(kinds))


def _fitting(kinds: Iterator[Kind]) -> Iterator[Kind]:
    """Where a role has as many workers as it may have, or as few, it is scaled the other way."""
    workers = dict(AT_FIRST)
    for kind in kinds:
        if kind in SCALE:
            role, by = SCALE[kind]
            by = by if LEAST <= workers[role] + by <= MOST else -by
            workers[role] += by
            yield BACK[role, by]
        else:
            yield kind


def _what(kind: Kind, rng: Random) -> tuple[Kind, int, float, Kind | None]:
    number = rng.randrange(1000)
    if kind is not Kind.PAIR:
        return kind, number, rng.uniform(*SPANS_S.get(kind, (0.0, 0.0))), None
    one, other = rng.sample(PAIRED, 2)
    while {one, other} <= BROKERS:  # one broker dies once
        one, other = rng.sample(PAIRED, 2)
    span_s = max(rng.uniform(*SPANS_S.get(each, (0.0, 0.0))) for each in (one, other))
    return one, number, span_s, other
