"""Wording: an incident in short phrases, the same on the board and in a log.

    figures(swing)   now -0.55, usually +0.18
    course(swing)    since 14:12 (22 min)
    grounds(swing)   412 votes · by chance <1 in 192 weeks · organic · about oatlira 62%, susu, mual
    sentence(swing)  all of it on one line

Numbers and terms; never a post's text, for a swing has none. Times of day are UTC, as on the board.
Knows nothing of terminals, colours or Kafka.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from streams.heart.incident import Cause, Step, Swing

SEVERITY = ("none", "notice", "serious", "severe")
TERMS = 4  # so many are shown
MINUTE_MS = 60_000


def is_volume(swing: Swing) -> bool:
    """Whether it is about how much is said."""
    return swing.series == "volume"


def severity(swing: Swing) -> str:
    """The word for how severe it is."""
    return SEVERITY[max(0, min(swing.severity, len(SEVERITY) - 1))]


def figures(swing: Swing) -> str:
    """Now against usual; of what is over, its peak."""
    if is_volume(swing):
        now = swing.now if swing.is_open else swing.usual + swing.peak
        return f"{'now' if swing.is_open else 'peak'} {now:.1f} a minute, usually {swing.usual:.1f}"
    now = swing.now if swing.is_open else max(-1.0, min(1.0, swing.usual + swing.peak))
    return f"{'now' if swing.is_open else 'peak'} {_mood(now)}, usually {_mood(swing.usual)}"


def course(swing: Swing, now_ms: int | None = None) -> str:
    """Since when, and for how long; of what is over, how it ended."""
    since = datetime.fromtimestamp(swing.onset_ms // 1000, UTC).strftime("%H:%M")
    if swing.state is Step.WITHDRAWN:
        return f"{since}, withdrawn"
    until_ms = swing.at_ms if now_ms is None or not swing.is_open else max(now_ms, swing.at_ms)
    minutes = round((until_ms - swing.onset_ms) / MINUTE_MS)
    if swing.is_open:
        return f"since {since} ({minutes} min)"
    return f"{since}, {swing.ended or 'over'} after {minutes} min"


def grounds(swing: Swing, *, is_brief: bool = False) -> list[str]:
    """How much it rests on, how sure it is, who speaks and of what, the most telling first. Brief: for a board."""
    every = (_base(swing), _chance(swing), who(swing, is_brief=is_brief), cause(swing, is_brief=is_brief),
             about(swing), _unheard(swing))
    return [said for said in every if said]


def about(swing: Swing, most: int = TERMS) -> str:
    """The terms that are said more, the first with what it explains of the change where that is known."""
    terms = [term.term for term in swing.terms]
    first = next((cause for cause in swing.causes if cause.kind == "term"), None)
    if first is not None:
        named = f"{first.name}{_share(first)}" if first is swing.causes[0] else first.name
        terms = [named, *(term for term in terms if term != first.name)]
    return f"about {', '.join(terms[:most])}" if terms else ""


def sentence(swing: Swing, title: str) -> str:
    """A step for a log, on one line."""
    what = "volume" if is_volume(swing) else f"mood {swing.direction}"
    said = [f"{title}: {what}, {severity(swing)}", course(swing), figures(swing), *grounds(swing)]
    return f"swing {swing.state}: {'; '.join(said)}"


def _base(swing: Swing) -> str:
    if is_volume(swing):
        return f"{swing.mentions} mentions"
    return f"{swing.votes} votes" if swing.votes else ""


def _chance(swing: Swing) -> str:
    if not swing.chance_weeks > 0:
        return ""
    return f"by chance {'<' if swing.chance_is_bound else ''}1 in {swing.chance_weeks:.0f} weeks"


def _unheard(swing: Swing) -> str:
    return f"{swing.unheard} min not listened to" if swing.unheard else ""


def who(swing: Swing, *, is_brief: bool = False) -> str:
    """Who speaks; beside it how authentic the talk is against the brand's usual, where that is not as usual."""
    if swing.copies is None or swing.authenticity in ("", "organic"):
        return swing.authenticity
    how = "authentic" if is_brief else "as authentic as usual"
    return f"{swing.authenticity} ({swing.copies.authentic:.0%} {how})"


_NAMED = {"mix": "another mix of sources or languages", "account": "one account"}
_BRIEFLY = {"mix": "another mix", "account": "one account"}


def cause(swing: Swing, *, is_brief: bool = False) -> str:
    """The first cause, unless it is a term: those are told with the others. Its share is what goes of the change when
    the cause is taken away; above 1 the rest has moved the other way."""
    first = swing.causes[0] if swing.causes else None
    if first is None or first.kind == "term":
        return ""
    named = (_BRIEFLY if is_brief else _NAMED).get(first.kind, f"{first.kind} {first.name}".strip())
    return f"{min(first.share, 1.0):.0%} {'' if is_brief else 'of the change goes '}with {named}"


def _share(cause: Cause) -> str:
    return f" {cause.share:.0%}" if 0 < cause.share <= 1 else ""


def _mood(mood: float) -> str:
    return f"{round(mood, 2) + 0.0:+.2f}"


def fitted(said: Sequence[str], room: int, gap: str) -> str:
    """As many phrases as there is room for, the first ones first; none is broken, but a list may be shorter.

    >>> fitted(["412 votes", "organic", "about oatlira, susu, mual"], 40, " · ")
    '412 votes · organic · about oatlira'
    """
    line = ""
    for phrase in said:
        kept = phrase
        while kept and len(line) + len(gap if line else "") + len(kept) > room:
            kept = kept.rpartition(", ")[0]
        if kept:
            line += (gap if line else "") + kept
    return line
