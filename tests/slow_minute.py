"""Slow minute: what the detector is to be told of each minute, from the raw records, in plain loops.

On time is what arrived before the end of its pane + delay. What counts of it, and who votes, follows from what was on
time alone: a floor that arrived later touches nothing, and a mention that came late has kept nobody from voting.

    row's arrival - grace            row's arrival          pane's end         pane's end + delay
    ──────┤├───────────────────────────────┼─────────────────────┼──────────────────────┤├───────
          [ a floor that arrives here touches the row                                   )

It sees all records at once. How a record is read, and the loop of the votes, are those of `streams/recount.py`.
Knows nothing of frames, trackers or marks.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from streams.heart.intake import Record
from streams.heart.post import id64, near_duplicate
from streams.recount import PANE_MS, Mention, Recount, _Floors, _Version, _Versions, vote

MINUTE_MS = 60_000
Key = tuple[int, str, int]  # post, brand, event time


class Told(NamedTuple):
    """What is told of one brand in one minute. Sums of x in 1/10,000."""

    votes: tuple[int, int, int, int]  # how many, and the sums of x, x^2, x^3
    raw: tuple[int, int, int, int]
    mentions: int
    copies: int
    segments: dict[tuple[str, str], tuple[int, int, int, int]]  # source, language: votes, sum of x, posts, sum of x


@dataclass
class OnTime(Mention):
    """A mention that counted when its pane closed."""

    lang: str = ""


def minutes(recount: Recount, records: Iterable[Record], delay_ms: int) -> dict[tuple[int, str], Told]:
    """Minute and brand -> what is told of them, of all in which the brand was mentioned on time."""
    found = on_time(recount, records, delay_ms)
    vote(list[Mention](found))
    together: dict[tuple[int, str], list[OnTime]] = defaultdict(list)
    for one in found:
        together[one.event_ms // MINUTE_MS, one.brand].append(one)
    return {key: told_of(some) for key, some in together.items()}


def on_time(recount: Recount, records: Iterable[Record], delay_ms: int) -> list[OnTime]:
    """The mentions that counted when their panes closed, without their votes."""
    versions: _Versions = defaultdict(list)
    floors: _Floors = defaultdict(list)
    for record in records:
        recount._take(record, versions, floors)
    out = []
    for key, known in versions.items():
        closes = key[2] // PANE_MS * PANE_MS + PANE_MS + delay_ms
        came = [version for version in known if version.record.arrival_ms < closes]
        best = min(came, key=lambda version: version.order, default=None)
        if best is not None:
            since = best.record.arrival_ms - recount.limits.grace_ms
            if best.rev >= max((rev for arrival, rev in floors[key[0]] if since <= arrival < closes), default=0):
                out.append(_mention(recount, key, best))
    return out


def _mention(recount: Recount, key: Key, best: _Version) -> OnTime:
    (post, brand, event), said = key, best.post
    author = post if said.author is None else id64(f"{said.source}/{said.author}")
    judged = recount.judge(said.text, said.lang)
    return OnTime(brand, post, event, author, near_duplicate(said.text), best.label, best.score, said.source,
                  lang=judged.lang)


def told_of(some: list[OnTime]) -> Told:
    """What is told of these mentions of one brand and minute, votes cast."""
    scored = [one for one in some if one.label != 3]
    segments = {}
    for key in {(one.source, one.lang) for one in scored}:
        of = [one for one in scored if (one.source, one.lang) == key]
        segments[key] = (*_sums(_votes(of))[:2], *_sums([one.score for one in of])[:2])
    return Told(_sums(_votes(some)), _sums([one.score for one in scored]), len(some), sum(one.copy for one in scored),
                segments)


def _votes(some: Iterable[OnTime]) -> list[int]:
    return [one.vote for one in some if one.vote is not None]


def _sums(xs: list[int]) -> tuple[int, int, int, int]:
    return len(xs), sum(xs), sum(x**2 for x in xs), sum(x**3 for x in xs)
