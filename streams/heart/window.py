"""Windows: what is shown of a brand, over the last minute, five minutes, hour and day.

    mood        the mean vote, -1 to +1, with an interval of 95 %
    plain       the mean score of all scored mentions, beside it
    unprompted  the mean of those votes whose mention the brand has not prompted (see `ballot`), with its own interval

The interval covers sampling error with votes as units. With few votes their own variance says little, so it is shrunk
to the brand's of the last day (with the weight of 50 votes), and that to a prior of 0.45 (with the weight of 5: a
public that is more of one mind, or less, is soon known for it). What the day does not yet know of its variance widens
the interval: Student's t. Its ends stay on the scale. How often it holds the truth: `tests/sim/coverage.py`.
It does not cover labelling error: that stands in the model's card. The interval of unprompted talk rests on the day's
unprompted votes alone: those that a brand has prompted make it neither wider nor narrower.
Knows nothing of rows, marks, Kafka or clocks.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from streams.heart.pane import FIELDS, MINUTE, UNIT

WINDOWS: dict[str, int] = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": 60 * MINUTE, "24h": 1440 * MINUTE}  # in panes
PRIOR_VARIANCE = 0.45
PRIOR_WEIGHT = 5  # votes; of the prior beside the brand's day
DAY_WEIGHT = 50  # votes; of the brand's day beside the window
_VOTES, _PROMPTED, _ALONE = map(FIELDS.index, ("negative_votes", "prompted", "unprompted_votes"))
Z95 = 1.959964


class Reading(NamedTuple):
    """What one window says of one brand. Where nothing was scored there is no mood: None, never a zero."""

    brand: str
    window: str
    mentions: int
    abstained: int
    negative: int
    neutral: int
    positive: int
    score_sum: float
    votes: int
    mood: float | None
    lower: float | None
    upper: float | None
    organic: float | None  # share of scored mentions that are no copies: their text had not had its vote this hour
    authors: int | None  # distinct; counted up to one hour
    completeness: float  # share of the brand's usual scored mentions whose source was healthy
    prompted: int = 0  # mentions that the brand's own hand is in
    unprompted_votes: int = 0
    unprompted: float | None = None  # the mean of those votes; None without one, as its interval
    unprompted_lower: float | None = None
    unprompted_upper: float | None = None

    @property
    def scored(self) -> int:
        """Mentions with a mood."""
        return self.negative + self.neutral + self.positive

    @property
    def plain(self) -> float | None:
        """The mean score of the mentions, each as loud as it is."""
        return self.score_sum / self.scored if self.scored else None


def variance(votes: int, total: int, squares: int, prior: float, weight: int = DAY_WEIGHT) -> float:
    """The variance of votes (sums in 1/10,000), shrunk to a prior with the weight of so many votes.

    >>> variance(0, 0, 0, 0.45)
    0.45
    """
    within = squares / UNIT**2 - (total / UNIT) ** 2 / votes if votes else 0.0
    return (weight * prior + max(within, 0.0)) / (weight + max(votes - 1, 0))


def student(freedom: int) -> float:
    """How many standard errors hold 95 %, if their variance rests on so many votes: Student's t, by Fisher's expansion
    (Abramowitz and Stegun 26.7.5), right to 0.003 from 5 on.

    >>> [round(student(freedom), 2) for freedom in (5, 24, 10**6)]
    [2.57, 2.06, 1.96]
    """
    z, of = Z95, 1 / freedom
    return (z + of * (z**3 + z) / 4 + of**2 * (5 * z**5 + 16 * z**3 + 3 * z) / 96
            + of**3 * (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)


def interval(votes: int, total: int, squares: int, prior: float, errors: float = Z95) -> tuple[float, float, float]:
    """Mood, lower and upper end of at least one vote, each in [-1, 1]; `errors`: how many standard errors wide.

    >>> interval(100, 250_000, 5_000_000_000, 0.45)
    (0.25, 0.1..., 0.3...)
    """
    mood = total / votes / UNIT
    half = errors * math.sqrt(variance(votes, total, squares, prior) / votes)
    return mood, max(mood - half, -1.0), min(mood + half, 1.0)


def reading(brand: str, window: str, sums: Sequence[int], day: Sequence[int],
            beside: tuple[int | None, float]) -> Reading:
    """A window's sums (in FIELDS' order) as a reading.

    `day`: the brand's sums of the last day, for its own variance; `beside`: distinct authors, and completeness.
    """
    negative, neutral, positive, abstained, score, copies = sums[:_VOTES]
    scored = negative + neutral + positive
    votes, alone = _votes(sums), _alone(sums)
    return Reading(brand, window, scored + abstained, abstained, negative, neutral, positive, score / UNIT, votes[0],
                   *_mood(votes, _votes(day)), 1 - copies / scored if scored else None, *beside,
                   sums[_PROMPTED], alone[0], *_mood(alone, _alone(day)))


_Votes = tuple[int, int, int]  # how many, their sum, and the sum of their squares


def _votes(sums: Sequence[int]) -> _Votes:
    return sum(sums[_VOTES:_VOTES + 3]), sums[_VOTES + 3], sums[_VOTES + 4]


def _alone(sums: Sequence[int]) -> _Votes:
    return sums[_ALONE], sums[_ALONE + 1], sums[_ALONE + 2]


def _mood(votes: _Votes, day: _Votes) -> tuple[float | None, float | None, float | None]:
    if not votes[0]:
        return None, None, None
    prior = variance(*day, PRIOR_VARIANCE, PRIOR_WEIGHT)
    return interval(*votes, prior, student(PRIOR_WEIGHT + max(day[0] - 1, 0)))
