"""Quality equals the textbook: recall, F1, calibration and class mixes, row by row."""

from collections import Counter
from collections.abc import Sequence
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quality import (
    ABSTAINED,
    BINS,
    MIXES,
    Claims,
    Judged,
    bootstrapped,
    confusion,
    f1s,
    macro_f1,
    macro_recall,
    mixed,
    recalls,
    remixed,
)
from models.report import mixes
from models.score import LABELS, Score

PARTS = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)).filter(any)
ANSWER = st.one_of(st.none(), PARTS.map(lambda parts: Score(*(part / sum(parts) for part in parts))))
ROWS = st.lists(st.tuples(st.integers(0, 2), ANSWER), min_size=1, max_size=40)

Row = tuple[int, Score | None]


def judged(rows: Sequence[Row]) -> Judged:
    return Judged.of([expected for expected, _ in rows], [answer for _, answer in rows])


def called(answer: Score | None) -> int:
    return ABSTAINED if answer is None else LABELS.index(answer.label)


def textbook(weights: Counter[tuple[int, int]]) -> tuple[float, float]:
    """Macro recall and macro F1 of (expected, said) pairs, by the definitions."""
    recalls_, f1s_ = [], []
    for label in range(len(LABELS)):
        truly = sum(n for (expected, _), n in weights.items() if expected == label)
        said = sum(n for (_, got), n in weights.items() if got == label)
        if truly:
            recall, precision = weights[label, label] / truly, weights[label, label] / said if said else 0.0
            recalls_.append(100 * recall)
            f1s_.append(100 * 2 * recall * precision / (recall + precision) if recall + precision else 0.0)
    return mean(recalls_), mean(f1s_)


@given(ROWS)
def test_recall_and_f1_equal_the_textbook(rows: list[Row]) -> None:
    """From the table of confusion, class by class; a class that does not occur is left out."""
    table = confusion(judged(rows))
    pairs = Counter((expected, called(answer)) for expected, answer in rows)
    assert {(e, s): n for (e, s), n in np.ndenumerate(table) if n} == pairs
    recall, f1 = textbook(pairs)
    assert float(macro_recall(table)) == pytest.approx(recall)
    assert float(macro_f1(table)) == pytest.approx(f1)
    missing = [label not in {expected for expected, _ in rows} for label in range(3)]
    assert np.isnan(recalls(table)).tolist() == np.isnan(f1s(table)).tolist() == missing


def test_an_abstention_is_wrong() -> None:
    """A gate that lets nothing pass is no way to good figures."""
    table = confusion(judged([(0, None), (2, None), (2, Score(0, 0, 1))]))
    assert float(macro_recall(table)) == 25
    assert table[:, ABSTAINED].tolist() == [1, 0, 1]


def slow_error(claims: Sequence[tuple[float, float, float]], low: float, high: float) -> float:
    """Expected calibration error of (said, true, weight), bin by bin."""
    total = sum(weight for _, _, weight in claims)
    error = 0.0
    for at in range(BINS):
        some = [one for one in claims if min(int((one[0] - low) / (high - low) * BINS), BINS - 1) == at]
        heavy = sum(weight for _, _, weight in some)
        if heavy:
            said, true = (sum(one[n] * one[2] for one in some) / heavy for n in (0, 1))
            error += heavy / total * abs(said - true)
    return error


@given(ROWS)
def test_calibration_errors_equal_the_textbook(rows: list[Row]) -> None:
    """Of the label's probability and of the score; a row without an answer claims nothing."""
    answered = [(expected, answer) for expected, answer in rows if answer is not None]
    labels = [(max(one.negative, one.neutral, one.positive), float(called(one) == expected), 1.0)
              for expected, one in answered]
    scores = [(one.score, float(expected - 1), 1.0) for expected, one in answered]
    ours = judged(rows)
    if not answered:
        assert Claims.of_labels(ours).error() is None
        return
    assert Claims.of_labels(ours).error() == pytest.approx(slow_error(labels, 0, 1), abs=1e-9)
    assert Claims.of_scores(ours).error() == pytest.approx(slow_error(scores, -1, 1), abs=1e-9)
    assert sum(one.rows for one in Claims.of_labels(ours).bins()) == len(answered)
    assert sum(one.rows for one in Claims.of_scores(ours).bins()) == len(answered)


def test_a_model_that_means_what_it_says_has_no_error() -> None:
    """Seven of ten answers that are 70 % sure are right; the score of each is what people meant on average."""
    rows: list[Row] = [(label, Score(0.3, 0.0, 0.7)) for label in [2] * 7 + [0] * 3]
    assert Claims.of_labels(judged(rows)).error() == pytest.approx(0)
    assert Claims.of_scores(judged(rows)).error() == pytest.approx(0)
    (one,) = Claims.of_labels(judged(rows)).bins()
    assert (one.rows, one.said, one.true) == (10, 0.7, 0.7)


@given(st.lists(st.tuples(st.integers(0, 2), ANSWER), max_size=8), st.sampled_from(sorted(MIXES)))
def test_a_mix_equals_rows_that_are_repeated(rows: list[Row], name: str) -> None:
    """Weights do what repeating each class until the shares are right would do."""
    rows = [*rows, *((label, Score(0, 1, 0)) for label in range(3))]
    ours, mix = judged(rows), MIXES[name]
    weights = mixed(ours, mix)
    assert weights is not None
    assert [weights[ours.expected == label].sum() / len(rows) for label in range(3)] == pytest.approx(mix)
    counts = Counter(expected for expected, _ in rows)
    # Shares of these mixes are multiples of a twelfth: so often is each row repeated.
    times = {label: round(12 * mix[label]) * counts[0] * counts[1] * counts[2] // counts[label] for label in range(3)}
    repeated = [row for row in rows for _ in range(times[row[0]])]
    table = remixed(confusion(ours), mix)
    assert float(macro_f1(table)) == pytest.approx(float(macro_f1(confusion(judged(repeated)))))
    assert float(macro_recall(table)) == pytest.approx(float(macro_recall(confusion(ours))))
    assert Claims.of_labels(ours, weights).error() == pytest.approx(Claims.of_labels(judged(repeated)).error())


def test_a_rare_class_stays_rare_in_the_interval_of_a_mix() -> None:
    """Forty rows that count for half of all do not become as sure as half of all."""
    rng = np.random.default_rng(3)
    expected = np.repeat([0, 1, 2], [300, 40, 300])
    said = np.where(rng.random(640) < 0.8, expected, (expected + 1) % 3)
    rows: list[Row] = [(int(label), Score(*(float(one == at) for at in range(3))))
                       for label, one in zip(expected, said, strict=True)]
    mix = MIXES["half neutral"]
    slow = []
    for _ in range(600):
        drawn = [rows[at] for at in rng.integers(0, 640, 640)]
        slow.append(float(macro_f1(remixed(confusion(judged(drawn)), mix))))
    found = mixes(judged(rows))["half neutral"].f1
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=1.0)
    assert found.high - found.low > 8


def test_no_mix_without_all_classes() -> None:
    """What does not occur cannot be weighted up."""
    assert mixed(judged([(0, None), (2, None)]), MIXES["level"]) is None


def test_an_interval_is_that_of_rows_drawn_anew() -> None:
    """A multinomial over the table is the bootstrap over the rows, written shorter."""
    rng = np.random.default_rng(7)
    expected = rng.integers(0, 3, 300)
    said = np.where(rng.random(300) < 0.7, expected, rng.integers(0, 4, 300)).astype(np.int8)
    ours = Judged(expected.astype(np.int8), said, np.zeros((300, 3)))
    figure = bootstrapped(confusion(ours), 300, macro_f1)
    slow = []
    for _ in range(1000):
        drawn = rng.integers(0, 300, 300)
        slow.append(textbook(Counter(zip(expected[drawn].tolist(), said[drawn].tolist(), strict=True)))[1])
    assert [figure.low, figure.high] == pytest.approx(np.percentile(slow, [2.5, 97.5]).tolist(), abs=0.8)
    assert figure.low < figure.value < figure.high


def test_a_figure_is_the_same_tomorrow() -> None:
    """The generator is seeded."""
    table = confusion(judged([(0, Score(1, 0, 0)), (1, Score(1, 0, 0)), (2, None)] * 9))
    assert bootstrapped(table, 27, macro_recall) == bootstrapped(table, 27, macro_recall)


def test_more_rows_narrow_an_interval() -> None:
    """By the root of their number."""
    table = confusion(judged([(label, Score(1, 0, 0)) for label in range(3)] + [(2, Score(0, 0, 1))]))
    few, many = bootstrapped(table, 90, macro_recall), bootstrapped(table, 9000, macro_recall)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10, rel=0.3)


@given(ROWS, ROWS)
def test_parts_join(first: list[Row], second: list[Row]) -> None:
    """The rows of both, in order."""
    both, apart = judged(first + second), Judged.joined([judged(first), judged(second)])
    assert (both.expected == apart.expected).all()
    assert (both.said == apart.said).all()
    assert (both.shares == apart.shares).all()
