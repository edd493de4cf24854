"""Quality: how far a model's answers can be trusted, from the labels that people gave and what it said of them.

Macro recall and macro F1 are in percent, over the classes that occur; an abstention is a wrong answer. Calibration is
judged on the rows that got an answer: the label's probability against the share of right labels (0 to 1), the score
against the mean of +1 for positive, 0 for neutral, -1 for negative (-1 to 1).
Values in, values out. Knows nothing of models, files or cards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from models.score import LABELS, Score

Floats = npt.NDArray[np.float64]
Table = Floats  # (..., expected class, class said), the last column for abstentions
Measure = Callable[[Table], Floats]

ABSTAINED = len(LABELS)
BINS = 15  # of equal width, as Guo et al. 2017 have them
RESAMPLES, SEED = 1_000, 1
# Class mixes that a stream may have and dev rows have not: shares of negative, neutral, positive.
MIXES = {"half neutral": (0.25, 0.5, 0.25), "two thirds negative": (2 / 3, 1 / 6, 1 / 6),
         "level": (1 / 3, 1 / 3, 1 / 3)}
MEANT = np.array([-1.0, 0.0, 1.0])  # the score that each class stands for


class Figure(msgspec.Struct, frozen=True):
    """A measure and its 95 % interval."""

    value: float
    low: float
    high: float


class Bin(msgspec.Struct, frozen=True):
    """Answers of about one size: how many, what they said on average, and what was true on average."""

    rows: int
    said: float
    true: float


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Rows as columns: the class that people gave, the class that the model said, and its probabilities."""

    expected: npt.NDArray[np.int8]
    said: npt.NDArray[np.int8]  # ABSTAINED where there is no answer
    shares: Floats  # (rows, 3); zeros where there is no answer

    @classmethod
    def of(cls, expected: Sequence[int], answers: Sequence[Score | None]) -> "Judged":
        """From the class of each row and the model's answer; None is an abstention.

        >>> judged = Judged.of([0, 2], [Score(0.1, 0.2, 0.7), None])
        >>> judged.said.tolist(), len(judged)
        ([2, 3], 2)
        """
        said = [ABSTAINED if one is None else LABELS.index(one.label) for one in answers]
        shares = [(0.0, 0.0, 0.0) if one is None else (one.negative, one.neutral, one.positive) for one in answers]
        return cls(np.array(expected, np.int8), np.array(said, np.int8),
                   np.array(shares, np.float64).reshape(-1, len(LABELS)))

    @classmethod
    def joined(cls, parts: Sequence["Judged"]) -> "Judged":
        """The rows of all parts."""
        return cls(np.concatenate([one.expected for one in parts]), np.concatenate([one.said for one in parts]),
                   np.concatenate([one.shares for one in parts]))

    def __len__(self) -> int:
        return len(self.expected)


def confusion(judged: Judged) -> Table:
    """How often each class was called what: (3, 4), abstentions last.

    >>> confusion(Judged.of([0, 2], [Score(0.1, 0.2, 0.7), None])).astype(int).tolist()
    [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    """
    wide = len(LABELS) + 1
    cells = np.bincount(judged.expected.astype(np.int64) * wide + judged.said, minlength=len(LABELS) * wide)
    return cells.reshape(len(LABELS), wide).astype(np.float64)


def recalls(table: Table) -> Floats:
    """(..., class), percent; NaN for a class that does not occur."""
    return _shares(_right(table), table.sum(axis=-1))


def f1s(table: Table) -> Floats:
    """(..., class), percent; NaN for a class that does not occur."""
    truly, said = table.sum(axis=-1), table[..., :ABSTAINED].sum(axis=-2)
    return _shares(2 * _right(table), np.where(truly > 0, truly + said, 0))


def macro_recall(table: Table) -> Floats:
    """Percent, the mean over the classes that occur; at least one must.

    >>> round(float(macro_recall(confusion(Judged.of([0, 0, 2], [Score(1, 0, 0), None, Score(0, 0, 1)])))), 1)
    75.0
    """
    return _mean(recalls(table))


def macro_f1(table: Table) -> Floats:
    """Percent, the mean over the classes that occur; at least one must."""
    return _mean(f1s(table))


def bootstrapped(table: Table, rows: int, measure: Measure, seed: int = SEED) -> Figure:
    """The measure, and between what it lies in 95 of 100 samples of `rows` rows.

    To draw rows with replacement and to count them is to draw from a multinomial: the table alone is needed. A sample
    in which no row has a class leaves that class out, as the measures do.
    """
    drawn = np.random.default_rng(seed).multinomial(rows, (table / table.sum()).ravel(), size=RESAMPLES)
    low, high = np.percentile(measure(drawn.reshape(-1, *table.shape).astype(np.float64)), [2.5, 97.5])
    return Figure(round(float(measure(table)), 2), round(float(low), 2), round(float(high), 2))


def mixed(judged: Judged, mix: Sequence[float]) -> Floats | None:
    """A weight for each row so that the classes have the shares of `mix`; None where a class does not occur.

    Weights are what resampling without end would give: no class is thinned out, and no luck is in the figures.
    """
    counts = np.bincount(judged.expected, minlength=len(LABELS))
    if not counts.all():
        return None
    return (np.array(mix) * len(judged) / counts)[judged.expected]


def remixed(table: Table, mix: Sequence[float]) -> Table:
    """(..., 3, 4), as if the classes had the shares of `mix`: the confusion of rows that count by such weights."""
    totals = table.sum(axis=-1, keepdims=True)
    shares: Table = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0) * np.array(mix)[:, None]
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class Claims:
    """What a model says of each row, as a number, and what was true of it."""

    said: Floats
    true: Floats
    weights: Floats
    low: float  # the least and the greatest that can be said
    high: float

    @classmethod
    def of_labels(cls, judged: Judged, weights: Floats | None = None) -> "Claims":
        """The probability of the label that was said; true: 1 if the label was right."""
        kept = judged.said != ABSTAINED
        right = (judged.said == judged.expected)[kept].astype(np.float64)
        return cls(judged.shares[kept].max(axis=1, initial=0.0), right, _kept(weights, kept), 0.0, 1.0)

    @classmethod
    def of_scores(cls, judged: Judged, weights: Floats | None = None) -> "Claims":
        """Positive minus negative; true: what people meant, as 1, 0 or -1."""
        kept = judged.said != ABSTAINED
        return cls(judged.shares[kept] @ MEANT, MEANT[judged.expected[kept]], _kept(weights, kept), -1.0, 1.0)

    def error(self) -> float | None:
        """The expected calibration error: in each bin how far saying is from truth, by the rows; None without rows.

        >>> Claims.of_labels(Judged.of([0, 1], [Score(1, 0, 0), Score(1, 0, 0)])).error()
        0.5
        """
        heavy, said, true = self._sums(self.weights), self._sums(self.said * self.weights), self._sums(
            self.true * self.weights)
        return float(np.abs(said - true).sum() / heavy.sum()) if len(self.said) else None

    def bins(self) -> list[Bin]:
        """Those that are not empty, from low to high; every row counts alike."""
        rows, said, true = self._sums(np.ones_like(self.said)), self._sums(self.said), self._sums(self.true)
        return [Bin(int(rows[at]), round(float(said[at] / rows[at]), 4), round(float(true[at] / rows[at]), 4))
                for at in np.flatnonzero(rows)]

    def _sums(self, what: Floats) -> Floats:
        at = ((self.said - self.low) / (self.high - self.low) * BINS).astype(np.int64)
        sums: Floats = np.bincount(np.clip(at, 0, BINS - 1), what, minlength=BINS).astype(np.float64)
        return sums


def _kept(weights: Floats | None, kept: npt.NDArray[np.bool_]) -> Floats:
    return np.ones(int(kept.sum())) if weights is None else weights[kept]


def _right(table: Table) -> Floats:
    return np.diagonal(table, axis1=-2, axis2=-1)


def _shares(part: Floats, whole: Floats) -> Floats:
    percents: Floats = np.divide(100 * part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return percents


def _mean(percents: Floats) -> Floats:
    means: Floats = np.nanmean(percents, axis=-1)
    return means
