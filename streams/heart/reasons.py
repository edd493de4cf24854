"""Reasons: why the mood has moved, in figures that add up.

    parts         the change from usual to now, split exactly: who speaks (mix), how they speak (mood), and what the
                  last day's mean is off the level that the detector holds (baseline)
    causes        ONE ranking over unlike kinds, by one measure: how much of the change goes when the cause is put back
                  to what is usual

        mix                 every segment has its share of before
        source, language    this segment's mood has moved only as that of all the others has
        copies              only votes count, where all posts have turned
        account             usual posts stand where the loudest account spoke again
        term                usual posts stand where this word is said beyond what the other posts of the same polarity
                            would explain (`streams/heart/terms.py`)

    authenticity  who says it: organic, amplified, coordinated

A uniform change leaves a segment nothing of its own, however large it is: it is no reason, and a word that all angry
posts have always held is none either.
Knows nothing of panes, clocks or how a swing is found.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.incident import Cause, Copies, Part

VARIANCE = 0.45  # of one vote, where it is not known; the same prior as in the intervals
LEAST_SHARE = 0.05  # a cause below it is not worth its line
MOST_CAUSES = 8
NEARLY = 0.75

Amount = tuple[float, float]  # how many votes (or posts), and the sum of their moods
Sums = Mapping[str, Amount]  # segment -> its amount
Numbers = Sequence[int] | npt.NDArray[np.uint64]

_KINDS = ("copies", "term", "account", "language", "source", "mix")  # at equal shares the more particular comes first


# -- the exact split --------------------------------------------------------------------------------------------------


class _Segment(NamedTuple):
    """One segment before (0) and now (1): its share and its mean. Absent in one period, it takes that of the other."""

    name: str
    w0: float
    w1: float
    m0: float
    m1: float

    @property
    def mood(self) -> float:
        return (self.m1 - self.m0) * (self.w0 + self.w1) / 2


def mean(sums: Sums) -> float | None:
    """The mean over all segments, or None without a vote. Does not depend on their order.

    >>> mean({"reviews": (3, 1.5), "bluesky": (1, 0.5)})
    0.5
    """
    votes = fsum(votes for votes, _ in sums.values())
    return fsum(total for _, total in sums.values()) / votes if votes else None


def split(before: Sums, now: Sums, dimension: str) -> tuple[Part, ...]:
    """The change of the mean, split into a mix and a mood part for each segment; exact, the largest first.

    With shares w and means m of a segment, M of all:

        mix  = (w1 - w0) ((m0 + m1)/2 - (M0 + M1)/2)
        mood = (m1 - m0) (w0 + w1)/2                    all of them add up to M1 - M0

    Shares sum to 1, so taking the overall mean off changes no total, but makes each mix part mean something: growth of
    a segment that is gloomier than the rest. Moods from -1 to 1. Without a vote on either side nothing is split.

    >>> for part in split({"app": (8, 4.0), "forum": (2, -1.0)}, {"app": (5, 2.5), "forum": (5, -2.5)}, "source"):
    ...     print(part.kind, part.segment, round(part.amount, 3))
    mix forum -0.195
    mix app -0.105
    mood app 0.0
    mood forum 0.0
    """
    both = _segments(before, now)
    if not both:
        return ()
    middle = (fsum(s.w0 * s.m0 for s in both) + fsum(s.w1 * s.m1 for s in both)) / 2
    found = [Part("mix", dimension, s.name, (s.w1 - s.w0) * ((s.m0 + s.m1) / 2 - middle)) for s in both]
    found += [Part("mood", dimension, s.name, s.mood) for s in both]
    return tuple(sorted(found, key=lambda part: (-abs(part.amount), part.kind, part.segment)))


def parts(before: Sums, now: Sums, usual: float, dimension: str) -> tuple[Part, ...]:
    """`split`, and the baseline: what the mean of `before` is off `usual`. All add up to the mean of `now` - `usual`.

    >>> sum(part.amount for part in parts({"app": (4, 1.0)}, {"app": (4, -1.0)}, 0.5, "source"))
    -0.75
    """
    then, today = mean(before), mean(now)
    if today is None:
        return ()
    off = Part("baseline", dimension, "", (today if then is None else then) - usual)
    return (*split(before, now, dimension), off)


def _segments(before: Sums, now: Sums) -> list[_Segment]:
    n0, n1 = (fsum(votes for votes, _ in sums.values()) for sums in (before, now))
    found: list[_Segment] = []
    for name in sorted({*before, *now}) if n0 and n1 else ():
        (v0, s0), (v1, s1) = before.get(name, (0, 0.0)), now.get(name, (0, 0.0))
        if v0 or v1:
            found.append(_Segment(name, v0 / n0, v1 / n1, s0 / v0 if v0 else s1 / v1, s1 / v1 if v1 else s0 / v0))
    return found


# -- one ranking ------------------------------------------------------------------------------------------------------


class Posts(NamedTuple):
    """All posts, copies included, as (how many, sum of scores): before, now, and the loudest account's among those now.

    An account has one vote an hour, so what it shouts shows here and not in the votes.
    """

    before: Amount
    now: Amount
    loudest: Amount


class Carried(NamedTuple):
    """A term's own posts: their share of all votes now beyond what is usual of it, and their mean mood."""

    term: str
    share: float
    mood: float


def causes(votes: Mapping[str, tuple[Sums, Sums]], posts: Posts | None = None,
           carried: Sequence[Carried] = ()) -> tuple[Cause, ...]:
    """All reasons, the strongest first. `votes`: dimension (source, language) -> its sums before and now.

    Sums of votes, or of all posts where only these have moved. The yardstick is the change of their mean or of all
    posts' mean, whichever is larger: what a loud account does to the posts is then a large part of it, and what little
    the votes did a small one. A share above 1 says that the rest has moved the other way.

    >>> before = {"app": (800, 80.0), "forum": (200, 20.0)}
    >>> [(cause.kind, cause.name) for cause in causes({"source": (before, {"app": (80, 8.0), "forum": (20, -16.0)})})]
    [('source', 'forum')]
    """
    usual, change = yardstick(votes, posts)
    if not change:
        return ()
    groups = [one for dimension, (before, now) in votes.items() for one in _own(before, now, dimension, change)]
    groups += _account(posts, change) if posts else []
    return ranked([_mix(votes, change)], _particular(groups), term_causes(carried, usual, change))


def yardstick(votes: Mapping[str, tuple[Sums, Sums]], posts: Posts | None = None) -> tuple[float, float]:
    """What shares are shares of: the mean before, and the change; of votes or of posts, whichever changed more."""
    moved = [(then, today - then) for then, today in ((mean(b), mean(n)) for b, n in votes.values())
             if then is not None and today is not None]
    if posts and posts.before[0] and posts.now[0]:
        then = posts.before[1] / posts.before[0]
        moved.append((then, posts.now[1] / posts.now[0] - then))
    return max(moved, key=lambda pair: abs(pair[1]), default=(0.0, 0.0))


def term_causes(carried: Iterable[Carried], usual: float, change: float) -> list[Cause]:
    """For each term the share of the change that goes when usual posts stand in the place of its own.

    >>> term_causes([Carried("refund", 0.25, -0.7)], usual=0.05, change=-0.1875)
    [Cause(kind='term', name='refund', share=1.0)]
    """
    return [Cause("term", one.term, one.share * (one.mood - usual) / change) for one in carried]


def ranked(*found: Iterable[Cause]) -> tuple[Cause, ...]:
    """Several lists of causes as one: the largest share first, what is too small to matter left out.

    >>> ranked([Cause("mix", "", 0.2)], [Cause("term", "refund", 0.8), Cause("term", "sinyal", 0.01)])
    (Cause(kind='term', name='refund', share=0.8), Cause(kind='mix', name='', share=0.2))
    """
    told = [cause for causes in found for cause in causes if cause.share >= LEAST_SHARE]
    told.sort(key=lambda cause: (-cause.share, _KINDS.index(cause.kind), cause.name))
    return tuple(told[:MOST_CAUSES])


def _mix(votes: Mapping[str, tuple[Sums, Sums]], change: float) -> Cause:
    """The dimension in which the shift of shares explains most."""
    amounts = [fsum(part.amount for part in split(before, now, dimension) if part.kind == "mix")
               for dimension, (before, now) in votes.items()]
    return Cause("mix", "", max((amount / change for amount in amounts), default=0.0))


def _own(before: Sums, now: Sums, dimension: str, change: float) -> list[tuple[float, Cause]]:
    """For each segment its share of the votes, and how far its mood has moved beyond that of all the others."""
    both = _segments(before, now)
    n0, n1 = (fsum(votes for votes, _ in sums.values()) for sums in (before, now))
    found = []
    for segment in both:
        rest = [other for other in both if other is not segment]
        weight, size = (segment.w0 + segment.w1) / 2, fsum(other.w0 + other.w1 for other in rest) / 2
        cells = (n0 * segment.w0, n1 * segment.w1, n0 * (1 - segment.w0), n1 * (1 - segment.w1))
        if size and min(cells) > 0.5:
            beyond = segment.m1 - segment.m0 - fsum(other.mood for other in rest) / size
            amount = _sure(beyond, VARIANCE * fsum(1 / votes for votes in cells)) * weight / change
            found.append((weight, Cause(dimension, segment.name, min(amount, segment.mood / change))))
    return found


def _particular(found: list[tuple[float, Cause]]) -> list[Cause]:
    """Without what only holds something smaller, of another kind, that explains nearly as much.

    If the forum turns, and all of it is Indonesian, Indonesian has turned against English too; and the loudest account
    takes its source and its language with it. Had all of Indonesian turned, the forum would have little beyond the
    rest. What comes in is (share of the votes or posts, cause).
    """
    return [cause for size, cause in found if not any(
        smaller < size and other.kind != cause.kind and other.share > NEARLY * cause.share for smaller, other in found)]


def _sure(difference: float, variance: float) -> float:
    """A difference less what chance would make of none (James, Stein 1961, positive part)."""
    return difference * max(0.0, 1 - variance / difference**2) if difference else 0.0


def _account(posts: Posts, change: float) -> list[tuple[float, Cause]]:
    """What the loudest account adds beyond its first post; smaller than any segment."""
    (n0, s0), (n1, _), (count, total) = posts
    if not (n0 and n1 and count):
        return []
    return [(0.0, Cause("account", "", (count - 1) / n1 * (total / count - s0 / n0) / change))]


# -- who says it ------------------------------------------------------------------------------------------------------


class Concentration(NamedTuple):
    """How far a few speak for all. `same`: chance that two posts are of one author; `effective`: how many equally loud
    authors would be as concentrated; `top`: the loudest author's share of the posts."""

    same: float
    effective: float
    top: float


def concentration(authors: Numbers) -> Concentration:
    """From the author of each post: with c posts each, n in all, sum c(c-1) / (n(n-1)), n^2 / sum c^2, max c / n.

    >>> concentration([1, 1, 1, 2, 3, 4])
    Concentration(same=0.2, effective=3.0, top=0.5)
    """
    counts = _counts(authors)
    n, squares = int(counts.sum()), int((counts**2).sum())
    if not n:
        return Concentration(0.0, 0.0, 0.0)
    return Concentration((squares - n) / (n * (n - 1)) if n > 1 else 0.0, n * n / squares, int(counts.max()) / n)


def copied(texts: Numbers) -> tuple[float, float]:
    """From the cluster of each post's text: the share of posts that repeat a text, the share of the commonest text.

    >>> copied([7, 7, 7, 8])
    (0.5, 0.75)
    """
    counts = _counts(texts)
    n = int(counts.sum())
    return (1 - len(counts) / n, int(counts.max()) / n) if n else (0.0, 0.0)


def _counts(values: Numbers) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(values, np.uint64), return_counts=True)[1].astype(np.int64)


MANY_COPIES = 0.3  # share of posts that repeat a text; and more than twice the brand's usual
FEW_AUTHORS = 10  # effective ones: fewer is a clique, not a public
HALF = 0.5  # of the usual votes to a post


def authenticity(copies: Copies, votes_fire: bool, raw_fires: bool, usual_copied: float = 0.0) -> str:
    """The word for who says it: organic, amplified (real people and many copies), coordinated.

    Coordinated is said only with a sign of it: many more copies than usual, or very few who speak. Many people who
    each say a lot, as on the night of a match, lower votes to posts as well, and are no campaign. `usual_copied`: the
    brand's usual share of posts that repeat a text.

    >>> authenticity(Copies(0.95, 0.8, copied=0.08, effective_authors=300.0), True, True, 0.06)
    'organic'
    >>> authenticity(Copies(0.7, 0.8, copied=0.45, effective_authors=200.0), True, True, 0.06)
    'amplified'
    >>> authenticity(Copies(0.1, 0.8, copied=0.9, effective_authors=150.0), False, True, 0.06)
    'coordinated'
    """
    is_pasted = copies.copied > max(MANY_COPIES, 2 * usual_copied)
    is_few = 0 < copies.effective_authors < FEW_AUTHORS
    is_thin = copies.authentic < HALF
    only_raw = raw_fires and not votes_fire
    if (is_thin or only_raw) and (is_pasted or is_few):
        return "coordinated"
    return "amplified" if is_pasted else "organic"
