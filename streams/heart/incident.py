"""Incident: a swing as it is told, step by step. The record of `denyut.swings`.

    opened ──▶ explained ──▶ risen ──▶ … ──▶ closed          one incident, one id; each step is whole in itself,
       └───────────────────────────────────▶ withdrawn       and readers take the highest step; terms and exemplars
                                                             stay those of `explained`

    series        mood      the mean vote has moved
                  volume    more is said than usual; says nothing of how
    authenticity  organic, amplified (real people, and many copies of what they say), coordinated (copies, or a few
                  loud accounts, and the vote of the many does not say so)

Numbers, names from the brand file and keys of posts; never a post's text. Terms are words that at least five authors
used. Knows nothing of Kafka, panes or how a swing is found.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

SCHEMA = 1


class Step(StrEnum):
    """What a record says of its incident."""

    OPENED = "opened"
    EXPLAINED = "explained"  # its terms and exemplars were read from the posts that still exist
    RISEN = "risen"  # it is more severe than when it was last told
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"  # what it rested on is gone


class Part(msgspec.Struct, frozen=True):
    """One summand of the change from usual to now. All parts of one dimension add up to `now - usual`.

    `kind`: mix (the segment's share has changed), mood (it speaks otherwise), baseline (the last day's mean against the
    level that the detector holds). `dimension`: source, language; `segment`: its name, "" for the baseline.
    """

    kind: str
    dimension: str
    segment: str
    amount: float


class Term(msgspec.Struct, frozen=True):
    """A word or two that are said more since the onset. `z`: log-odds over its standard deviation; `authors`: now."""

    term: str
    z: float
    authors: int


class Cause(msgspec.Struct, frozen=True):
    """One reason, the strongest first. `share`: of the change, what goes when this is taken away.

    `kind`: mix, source, language, account, copies, term. `name`: the segment or the term; "" for the others.
    """

    kind: str
    name: str
    share: float


class Copies(msgspec.Struct, frozen=True):
    """Who speaks: the figures behind the word for authenticity.

    `authentic`: votes to posts in the window over the brand's usual, at most 1. `copied`: share of posts that repeat a
    text. `top_text`, `top_author`: share of posts of the commonest text, of the loudest author. `effective_authors`:
    how many equally loud authors would be as concentrated. `raw_z`: the test on all posts, copies included.
    """

    authentic: float
    usual_votes_per_post: float
    copied: float = 0.0
    top_text: float = 0.0
    top_author: float = 0.0
    effective_authors: float = 0.0
    raw_z: float = 0.0


class Swing(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an incident. Times are ms UTC of event time; moods from -1 to 1; `window_min` in minutes.

    `effect` = now - usual, with its 95 % interval; `z`: effect over its standard deviation. By chance such a swing
    comes about once in `chance_weeks` for a brand like this (`chance_is_bound`: no oftener than). `onset_ms` is right
    within [`onset_from_ms`, `onset_to_ms`] in nine of ten. `smallest`: the smallest swing that could be seen then.
    `reach`: votes over those expected. `authors`, and the shares in `copies`, are of the last 57 minutes of a longer
    window. Closed and withdrawn keep the figures told last, and the peak. For volume: now, usual and effect are posts a
    minute; what does not apply is 0 or empty.
    """

    id: str
    step: int
    state: Step
    series: str
    brand: str
    direction: str  # down, up
    severity: int  # 1 notice, 2 serious, 3 severe
    at_ms: int  # the end of the minute with which it was known
    onset_ms: int
    onset_from_ms: int
    onset_to_ms: int
    window_min: int
    now: float
    usual: float
    effect: float
    lower: float
    upper: float
    z: float
    votes: int
    mentions: int
    authors: int
    reach: float
    smallest: float
    chance_weeks: float
    chance_is_bound: bool
    authenticity: str = ""  # organic, amplified, coordinated
    copies: Copies | None = None
    parts: tuple[Part, ...] = ()
    causes: tuple[Cause, ...] = ()
    before: float = 0.0  # what causes are shares of: the mean before, of votes or of posts,
    change: float = 0.0  # and how far it has moved
    terms: tuple[Term, ...] = ()
    exemplars: tuple[str, ...] = ()  # keys of posts
    peak: float = 0.0  # the largest effect so far
    unheard: int = 0  # minutes while it was open that were not tested, because a source was not listened to
    ended: str = ""  # over, turned, new normal, new ruler, withdrawn
    schema: int = SCHEMA

    @property
    def is_open(self) -> bool:
        """Whether the incident goes on."""
        return self.state not in (Step.CLOSED, Step.WITHDRAWN)


class Standing(NamedTuple):
    """How a brand stands now: severities of what is open (0 none, 1 to 3), and what could be seen."""

    down: int = 0
    up: int = 0
    volume: int = 0
    coordinated: int = 0  # a swing of either direction that copies or a few accounts make
    is_ready: bool = False  # its baseline is warm
    smallest: float | None = None  # the smallest swing of mood that could be seen now; None: none at all
    swing: Swing | None = None  # of mood, as it was told last, while it is open


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Swing).decode


def encode(swing: Swing) -> bytes:
    """The wire form of a step; `decode` reads it back."""
    return _encode(swing)


def decode(value: bytes) -> Swing:
    """A step from the wire. Raises `msgspec.DecodeError`, of which `ValidationError` is one, for anything else."""
    try:
        return _decode(value)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec lets both through
        raise msgspec.DecodeError(type(error).__name__) from None


def key(swing: Swing) -> bytes:
    """The Kafka key of a step: every step of every incident has its own."""
    return f"{swing.id}:{swing.step:04d}".encode()
