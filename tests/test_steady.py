"""Steady: poison alone is poison, and a dead model poisons nothing."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.memo import Memo
from models.score import NoModel
from models.steady import Steady
from tests.scorers import RuleScorer, rule


def chokes(texts: Sequence[str]) -> Exception | None:
    return ValueError("choked") if any("!" in text for text in texts) else None


@given(st.lists(st.text("ae!", max_size=3), max_size=30))
def test_only_the_texts_at_fault_go_without_a_score(texts: list[str]) -> None:
    """However many there are and wherever they stand, the others keep their scores and their order."""
    assert Steady(RuleScorer(chokes)).score_or_poison(texts) == [None if "!" in text else rule(text) for text in texts]


def test_a_passing_failure_costs_a_second_try_and_nothing_else() -> None:
    """Memory that was short for a moment is no text's fault."""
    scorer = RuleScorer()
    scorer._fails = lambda _: MemoryError() if len(scorer.calls) == 1 else None
    assert Steady(scorer).score_or_poison(["a", "e"]) == [rule("a"), rule("e")]
    assert scorer.calls == [["a", "e"]] * 2


def test_a_batch_too_large_for_the_machine_is_halved() -> None:
    """No text is poison when each passes alone."""
    scorer = RuleScorer(lambda texts: MemoryError() if len(texts) > 3 else None)
    assert Steady(scorer).score_or_poison(["a"] * 8) == [rule("a")] * 8


def test_a_dead_model_poisons_nothing() -> None:
    """When a text known to be good fails too, the model is at fault, and the texts stay to be scored later."""
    with pytest.raises(NoModel):
        Steady(RuleScorer(lambda _: RuntimeError("dead"))).score_or_poison(["a", "e"])


def test_a_model_that_dies_midway_poisons_nothing() -> None:
    """Even if some texts had their scores already."""
    scorer = RuleScorer()
    scorer._fails = lambda texts: RuntimeError("dead") if len(scorer.calls) > 4 else chokes(texts)
    with pytest.raises(NoModel):
        Steady(scorer).score_or_poison(["a", "!", "e", "a"])


def test_a_memo_does_not_vouch_for_a_dead_model() -> None:
    """The probe is a new text each time: an old one would be answered from memory."""
    dead = [False]
    steady = Steady(Memo(RuleScorer(lambda texts: RuntimeError("dead") if dead[0] else chokes(texts))))
    assert steady.score_or_poison(["!"]) == [None]
    dead[0] = True
    with pytest.raises(NoModel):
        steady.score_or_poison(["!"])


def test_an_error_tells_no_text() -> None:
    """What a runtime says may quote a post; what goes to the log must not."""
    scorer = RuleScorer(lambda texts: ValueError(f"cannot read {texts[0]}"))
    with pytest.raises(NoModel) as caught:
        Steady(scorer).score_or_poison(["rahasia"])
    assert "rahasia" not in str(caught.value)
