"""Lang: who is scored, and who is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lang import Languages, Verdict, base_code
from models.score import Card

INDONESIAN = "pelayanannya lambat sekali, saya menunggu dua jam dan tidak ada kabar"
ENGLISH = "the service was slow and nobody answered my questions for two hours"
GERMAN = "der Service war langsam und niemand hat meine Fragen beantwortet"
HINDI = "yeh phone bahut accha hai lekin camera bekar hai bhai"


def judge(text: str, declared: str | None = None, *languages: str) -> Verdict:
    return Languages(Card(name="x", languages=languages or ("id", "en"))).judge(text, declared)


@pytest.mark.parametrize(("text", "lang"), [(INDONESIAN, "id"), (ENGLISH, "en")])
@pytest.mark.parametrize("declared", [None, "und", "id", "en", "en-GB", "in"])
def test_the_two_languages_are_told_apart_whatever_is_declared(text: str, lang: str, declared: str | None) -> None:
    """A phone set to English says nothing of the post."""
    assert judge(text, declared) == Verdict(lang, True, None)


def test_a_language_that_was_not_measured_abstains() -> None:
    """Near chance is worse than nothing."""
    assert judge(GERMAN) == Verdict("de", False, "language")
    assert judge(GERMAN, "en").known is False


def test_a_declared_language_outside_the_set_wins_over_a_detected_english() -> None:
    """The detector takes romanised Hindi for English."""
    assert judge(HINDI, "hi") == Verdict("hi", False, "language")
    assert judge(ENGLISH, "hi") == Verdict("hi", False, "language")


def test_a_declared_neighbour_of_indonesian_stands() -> None:
    """The detector knows one class for them all."""
    assert judge(INDONESIAN, "ban") == Verdict("ban", False, "language")
    assert judge(INDONESIAN, "jv", "id", "jv") == Verdict("jv", True, None)


@pytest.mark.parametrize("text", ["", "\U0001f60d\U0001f60d", "https://t.co/x @budi #1", "12345", "\ud800"])
def test_a_text_without_words_has_no_language(text: str) -> None:
    """Emoji, links and handles are the same everywhere."""
    assert judge(text) == Verdict("und", False, "no_words")
    assert judge(text, "id") == Verdict("id", True, None)
    assert judge(text, "hi") == Verdict("hi", False, "language")


def test_a_word_is_too_little_unless_a_language_is_declared() -> None:
    """The detector takes "jelek" for Hungarian."""
    assert judge("jelek") == Verdict("und", False, "unsure")
    assert judge("jelek", "id") == Verdict("id", True, None)
    assert judge("mantap") == Verdict("id", True, None)


def test_a_phone_set_to_english_does_not_decide_for_an_unsure_detector() -> None:
    """English is what is declared where nobody chose; any other language was chosen."""
    assert judge(HINDI).lang == judge(HINDI, "en").lang == "id"  # wrong, and unsure of it
    assert judge(HINDI, "hi") == Verdict("hi", False, "language")


def test_a_card_without_languages_may_score_all_that_has_words() -> None:
    """A model that the user chose is not doubted."""
    free = Languages(Card(name="x"))
    assert free.judge(GERMAN, None) == Verdict("de", True, None)
    assert free.judge("\U0001f60d", None) == Verdict("und", False, "no_words")


@pytest.mark.parametrize(("tag", "code"), [("id-ID", "id"), ("IN", "id"), ("eng", "en"), ("en_US", "en"), ("zxx", None),
                                           ("und", None), (" ", None), (None, None)])
def test_a_tag_becomes_a_language(tag: str | None, code: str | None) -> None:
    """Regions are dropped, old codes renamed, and what says nothing is nothing."""
    assert base_code(tag) == code


@given(st.text(st.characters(), max_size=200), st.none() | st.text(max_size=8))
def test_any_text_gets_a_verdict(text: str, declared: str | None) -> None:
    """A reason is given exactly where no score may be."""
    verdict = judge(text, declared)
    assert verdict.known == (verdict.reason is None) == (verdict.lang in {"id", "en"})
