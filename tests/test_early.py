"""Early: who is answered by the lower half, who goes on, and that company changes nothing."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.early import EarlyScorer, Hidden
from models.score import EFFORTS, Card, Effort, Late, Score
from models.transformer import Ids, Logits

THRESHOLD = 0.9


class Halves(EarlyScorer):
    """A network one can see through: the lower half says positive as surely as a text is short, the upper negative."""

    def __init__(self, effort: Effort = "balanced") -> None:
        late = Late(file="late.onnx", threshold=THRESHOLD, temperature=2.0)
        super().__init__(Card(name="halves", late=late, effort=effort, pad=0), late, tokenizer=None)
        self.went_on: list[tuple[int, int]] = []

    def lower(self, ids: Ids, mask: Ids) -> tuple[Logits, Hidden]:
        sure = 10.0 / mask.sum(1)
        logits = np.stack([np.zeros_like(sure), np.zeros_like(sure), sure], axis=1).astype(np.float32)
        return logits, np.repeat(ids[:, :, None], 4, axis=2).astype(np.float32)

    def upper(self, hidden: Hidden, mask: Ids) -> Logits:
        self.went_on.append((hidden.shape[0], hidden.shape[1]))
        first = hidden[:, 0, 0] * mask[:, 0]
        return np.stack([first, np.zeros_like(first), -(hidden[:, :, 0] * mask).sum(1)], axis=1).astype(np.float32)


TEXT = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def alone(text: Sequence[int], effort: Effort) -> Score:
    (score,) = Halves(effort).judged([text])
    return score


@given(st.lists(TEXT, max_size=80), st.sampled_from(EFFORTS))
def test_company_changes_neither_scores_nor_exits(texts: list[list[int]], effort: Effort) -> None:
    """Each text is answered as if it had come alone, in the order asked."""
    got = Halves(effort).judged(texts)
    assert len(got) == len(texts)
    for text, score in zip(texts, got, strict=True):
        want = alone(text, effort)
        assert pytest.approx((want.negative, want.neutral, want.positive)) == (
            score.negative, score.neutral, score.positive)


@given(st.lists(TEXT, min_size=1, max_size=40))
def test_exactly_the_unsure_go_on(texts: list[list[int]]) -> None:
    """The lower half's answer stands where its greatest probability reaches the threshold, and nowhere else."""
    halves = Halves()
    got = halves.judged(texts)
    early = Halves("fast").judged(texts)
    late = Halves("exact").judged(texts)
    unsure = [max(one.negative, one.neutral, one.positive) < THRESHOLD for one in early]
    for score, one, two, goes_on in zip(got, early, late, unsure, strict=True):
        assert score.score == pytest.approx((two if goes_on else one).score)
    assert (halves.asked, halves.asked_late) == (len(texts), sum(unsure))
    assert sum(count for count, _ in halves.went_on) == sum(unsure)


def test_those_that_go_on_are_batched_anew() -> None:
    """They bring no padding along from the texts that are done."""
    halves = Halves()
    halves.judged([[1] * 2, [1] * 9, [1] * 2, [1] * 9])
    assert [(2, 9)] == halves.went_on


def test_the_ends_ask_one_half() -> None:
    """Fast never asks the upper half; exact gives no early answer."""
    fast, exact = Halves("fast"), Halves("exact")
    fast.judged([[1] * 11])
    exact.judged([[1]])
    assert (0, 1) == (fast.asked_late, exact.asked_late)


def test_the_late_answer_has_its_own_temperature() -> None:
    """The halves are not equally sure of themselves."""
    (score,) = Halves("exact").judged([[2]])
    assert score.negative == pytest.approx(np.exp(1.0) / (np.exp(1.0) + 1 + np.exp(-1.0)))
