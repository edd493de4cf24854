"""Notices: what happened, told once. `streams.metrics` and `streams.logs` decide how it is shown.

A notice holds numbers and words from fixed lists, never a post's text, author or link.
Knows nothing of Prometheus, logging or Kafka.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Notice:
    """The root of all notices."""


@dataclass(frozen=True, slots=True)
class PostsRead(Notice):
    """One batch of `denyut.posts` was decoded and matched. The counts add up to `read` (see `Intake`)."""

    read: int = 0
    matched: int = 0
    unmatched: int = 0
    rejected: int = 0
    late: int = 0
    early: int = 0
    removals: int = 0
    ticks: int = 0


@dataclass(frozen=True, slots=True)
class PostRejected(Notice):
    reason: str


@dataclass(frozen=True, slots=True)
class HandedBack(Notice):
    """Records that were read and dropped unworked, because their partition went to another worker."""

    count: int


@dataclass(frozen=True, slots=True)
class BatchScored(Notice):
    """One call of the model: `texts` distinct texts asked for, of which `fresh` were not remembered."""

    texts: int
    fresh: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class MentionsRead(Notice):
    """One settling of a tracker: what became of the rows read since the one before."""

    new: int = 0
    duplicate: int = 0
    superseded: int = 0
    removed: int = 0
    sealed: int = 0
    floors: int = 0


@dataclass(frozen=True, slots=True)
class MentionCounted(Notice):
    """Mentions of one brand that became visible in live reading (never in recovery)."""

    brand: str
    source: str
    sentiment: str  # negative, neutral, positive, abstained
    count: int = 1


@dataclass(frozen=True, slots=True)
class Fresh(Notice):
    """From a post's event time to the reading that shows it."""

    seconds: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Rebalanced(Notice):
    worker: str  # score, pulse


@dataclass(frozen=True, slots=True)
class Recovered(Notice):
    partitions: int
    frames: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PostSent(Notice):
    """The feed's side: one happening was delivered."""

    kind: str  # post, removal, tick


@dataclass(frozen=True, slots=True)
class PostNotSent(Notice):
    """The feed's side: the broker refused this one, or it waited too long."""

    reason: str


@dataclass(frozen=True, slots=True)
class SourceHeard(Notice):
    """What came from a source, by what became of it: see `metrics.TOOK`."""

    source: str
    outcome: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class SourceRefused(Notice):
    """Something that came from a source is no happening."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceStands(Notice):
    """How listening to a source goes. `behind_s`: how far the time up to which nothing is missing lies behind now."""

    source: str
    is_up: bool
    behind_s: float


@dataclass(frozen=True, slots=True)
class SourceGap(Notice):
    """So many seconds of a source may be missing, and will not come."""

    source: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SourceReconnects(Notice):
    """A connection to a source ended."""

    source: str


class Observer(Protocol):
    """Receives every notice. Must not raise and must not block."""

    def observe(self, notice: Notice) -> None: ...


class Nobody:
    """An observer that does not care."""

    def observe(self, notice: Notice) -> None:
        """Forget it."""
