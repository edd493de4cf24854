"""Memo: the same answers, fewer questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.memo import Memo
from models.text import normalise
from tests.scorers import RuleScorer, rule

calls = st.lists(st.lists(st.text("aeb ", max_size=4), max_size=8), max_size=8)


@given(calls, st.integers(0, 5))
def test_a_memo_changes_no_score(calls: list[list[str]], size: int) -> None:
    """However small it is and whatever came before, each text gets the score of its normalised form."""
    memo = Memo(RuleScorer(), size)
    for texts in calls:
        assert memo.score(texts) == [rule(text) if text == normalise(text) else memo.score([text])[0] for text in texts]


@given(calls)
def test_a_text_is_scored_once(calls: list[list[str]]) -> None:
    """With room enough, no two texts that are asked for read alike."""
    scorer = RuleScorer()
    memo = Memo(scorer)
    for texts in calls:
        memo.score(texts)
    asked = [normalise(text) for call in scorer.calls for text in call]
    assert len(asked) == len(set(asked)) == memo.asked - memo.spared


def test_texts_that_read_alike_share_a_score() -> None:
    """Another link or handle is no other text for the model."""
    scorer = RuleScorer()
    one, other = Memo(scorer).score(["@ana baca https://a.example", "@budi  baca https://b.example"])
    assert one == other
    assert [len(call) for call in scorer.calls] == [1]


def test_a_model_that_reads_raw_text_is_asked_for_each() -> None:
    """The key is no coarser than what the model sees."""
    scorer = RuleScorer(normalised=False)
    Memo(scorer).score(["@ana baca", "@budi baca", "@ana baca"])
    assert scorer.calls == [["@ana baca", "@budi baca"]]


def test_what_was_longest_unused_is_forgotten() -> None:
    """Use keeps a text, age does not."""
    scorer = RuleScorer()
    memo = Memo(scorer, size=2)
    for text in ("a", "e", "a", "b", "a", "e"):
        memo.score([text])
    assert scorer.calls == [["a"], ["e"], ["b"], ["e"]]


def test_no_text_is_kept() -> None:
    """A post that was removed must not live on in a cache."""
    memo = Memo(RuleScorer())
    memo.score(["rahasia"])
    assert "rahasia" not in repr(vars(memo)["_known"])


def test_a_failed_call_teaches_nothing() -> None:
    """The error goes through, and the next call asks again."""
    broken = [True]
    scorer = RuleScorer(lambda _: RuntimeError("no") if broken[0] else None)
    memo = Memo(scorer)
    with pytest.raises(RuntimeError):
        memo.score(["a"])
    broken[0] = False
    assert memo.score(["a"]) == [rule("a")]
