"""Explain: the step of an incident that needs texts. Terms, exemplars, and the causes ranked anew with the terms.

    evidence    which posts to read: voting ones of the swing's polarity, since the onset and of the hour before it
    explain     the step, from those that could still be read

It says what posts that exist now say, so unlike the other steps it may come out otherwise later, or not at all: a text
that is gone is not quoted. Terms are words that at least five authors used; no text is kept.
Knows nothing of how texts are fetched.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from streams.heart.incident import Step, Swing
from streams.heart.reasons import ranked, term_causes
from streams.heart.terms import Said, carried, exemplars, terms

MOST = 400  # posts of either side
STEP = 1  # the number of this step, whenever it is made


class Voice(NamedTuple):
    """Where one post stands in `denyut.posts`, and what is known of it without its text. Hashes as in rows."""

    partition: int
    offset: int
    post: int
    author: int
    text: int
    score: float
    rev: int


class Evidence(NamedTuple):
    """The posts to read: since the onset, and before. `polar`: the share of all votes since then that are of the
    swing's polarity."""

    now: tuple[Voice, ...]
    before: tuple[Voice, ...]
    polar: float


def explain(swing: Swing, evidence: Evidence, text_of: Callable[[Voice], tuple[str, str] | None],
            ignored: Collection[str] = ()) -> Swing:
    """The explained step. `text_of`: a post's key and text, or None where it is gone. `ignored`: the brand's names."""
    now, before = (_said(voices, text_of) for voices in (evidence.now, evidence.before))
    found = terms(now, before, ignored)
    held = carried(now, before, found, evidence.polar)
    named = ranked(swing.causes, term_causes(held, swing.before, swing.change) if swing.change else ())
    return msgspec.structs.replace(swing, state=Step.EXPLAINED, step=STEP, terms=found, causes=named,
                                   exemplars=exemplars(now, found))


def _said(voices: Sequence[Voice], text_of: Callable[[Voice], tuple[str, str] | None]) -> list[Said]:
    out = []
    for voice in voices:
        said = text_of(voice)
        if said is not None:
            out.append(Said(said[0], voice.author, said[1], voice.text, voice.score))
    return out
