"""Ruler: what a model says of posts, warmed by language."""

from collections.abc import Sequence

import msgspec
import pytest

from models.ruler import Ruler
from models.score import Card, Late, Score
from tests.scorers import RuleScorer, rule


def warm(**warmth: float) -> RuleScorer:
    scorer = RuleScorer()
    scorer.card = msgspec.structs.replace(scorer.card, warmth=warmth, digest="0123456789abcdef")
    return scorer


def test_each_language_has_its_temperature() -> None:
    """The same text is told with less certainty where the model deserves less; an unnamed language is left alone."""
    plain = rule("aaae")
    jv, en = Ruler(warm(jv=2.0)).scores([("aaae", "jv"), ("aaae", "en")])
    assert en == plain
    assert jv is not None
    assert jv.label == plain.label
    assert jv.positive < plain.positive
    assert jv.negative + jv.neutral + jv.positive == pytest.approx(1)


def test_a_text_is_scored_once_whatever_its_language() -> None:
    """Warming comes after remembering."""
    scorer = warm(jv=2.0)
    ruler = Ruler(scorer)
    ruler.scores([("aaae", "jv"), ("aaae", "en"), ("aaae", "id")])
    assert [["aaae"]] == scorer.calls
    assert ruler.spared == 2


def test_poison_stands_alone() -> None:
    """A text that breaks the model has no score; its neighbours have theirs."""
    def fails(texts: Sequence[str]) -> Exception | None:
        return RuntimeError("boom") if any("poison" in text for text in texts) else None

    scores = Ruler(RuleScorer(fails)).scores([("aa", "id"), ("poison", "id"), ("ee", "en")])
    assert [score is None for score in scores] == [False, True, False]


def test_another_effort_is_another_ruler() -> None:
    """A detector must know that scores have changed; of a model with one exit, effort changes nothing."""
    late = Late(file="late.onnx", threshold=0.9)
    card = Card(name="m", digest="0" * 64, late=late)
    names = {msgspec.structs.replace(card, effort=effort).ruler for effort in ("fast", "balanced", "exact")}
    assert len(names) == 3
    assert Card(name="m", effort="fast").ruler == Card(name="m").ruler


def test_no_text_no_score() -> None:
    """An empty question has an empty answer."""
    scores: list[Score | None] = Ruler(RuleScorer()).scores([])
    assert [] == scores
