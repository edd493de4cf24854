"""Register: everyday spelling, where the mood stays."""

import doctest
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.recipes import register
from models.recipes.register import SPOKEN, respelled, stretched, typed

WORDS = st.lists(st.sampled_from([*SPOKEN, "kopi", "Lumora", "enak", "rusak", "sangat", "sekali", "7", "!"]),
                 max_size=12)


def test_careful_words_become_everyday_ones() -> None:
    """In some draw, each word of the sentence is another one, and no draw loses the verdict."""
    said = {respelled("saya tidak akan datang lagi", random.Random(seed)) for seed in range(60)}
    assert any(text.startswith(("gue ", "gw ")) for text in said)
    assert any(" gak " in text for text in said)


@pytest.mark.parametrize("text", ["sangat enak", "enak sekali", "amat enak"])
def test_an_intensifier_goes_behind_its_word(text: str) -> None:
    """As it does in speech."""
    first, _, second = respelled(text, random.Random(2)).partition(" ")
    assert first.startswith("enak")
    assert second in {"banget", "bgt", "bgtt", "bngt", "parah", "pol", "abis"}


@pytest.mark.parametrize(("text", "kept"), [
    ("coba sekali lagi", "sekali lagi"), ("datang seminggu sekali", "seminggu sekali"), ("rusak satu sekali", "sekali"),
])
def test_once_is_not_very(text: str, kept: str) -> None:
    """Where `sekali` counts, it does not stress."""
    assert all(kept.split(maxsplit=1)[0] in respelled(text, random.Random(seed)) for seed in range(20))
    assert all("sekali" in respelled(text, random.Random(seed)) for seed in range(20))


@pytest.mark.parametrize("text", ["tidak enak sama sekali", "sangat tidak enak", "amat tak enak"])
def test_a_negation_keeps_what_it_denies(text: str) -> None:
    """Not at all, and very much not, stay behind and before what they were."""
    for seed in range(20):
        words = respelled(text, random.Random(seed)).split()
        assert not set(words) & {"banget", "bgt", "bgtt", "bngt", "parah", "pol", "abis"}
        assert words[-1] in ("sekali", "enak", "enakk")


def test_thanks_are_shortened_as_one() -> None:
    """Two words, one thing said."""
    assert {respelled("terima kasih", random.Random(seed)) for seed in range(40)} >= {"makasih", "terima kasih"}


@given(WORDS, st.integers(0, 99))
def test_what_has_no_everyday_form_stays(words: list[str], seed: int) -> None:
    """Names, numbers, verdicts and punctuation are not touched."""
    text = " ".join(words)
    out = respelled(text, random.Random(seed))
    for kept in ("kopi", "Lumora", "rusak", "7", "!"):
        assert out.split().count(kept) == text.split().count(kept)


@given(st.text(max_size=40), st.integers(0, 99))
def test_a_stretched_text_is_itself_with_a_vowel_held(text: str, seed: int) -> None:
    """At most two characters more, all of one vowel."""
    out = stretched(text, random.Random(seed))
    assert len(text) <= len(out) <= len(text) + 2
    assert out == text or any(out[:at] + out[at + len(out) - len(text):] == text for at in range(len(out)))


def test_other_languages_keep_their_words() -> None:
    """The table is Indonesian; in Malay-like neighbours the same letters mean other things."""
    assert {typed("saya tidak ada", "jv", random.Random(seed)).replace("aa", "a").replace("aa", "a")
            for seed in range(20)} == {"saya tidak ada"}


def test_its_examples_are_true() -> None:
    """Doctests of recipes are run here: collecting them all would need torch."""
    assert doctest.testmod(register).failed == 0
