"""Brand files: what they say, what they refuse, and which posts they match."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.brands import Brand, BrandFile, Brands, words
from streams.heart.errors import BadBrands

HEAD = "number = 1\npublished = 2026-01-01T00:00:00Z\n"
COFFEE = HEAD + """
[[brand]]
name = "kopi-senja"
title = "Kopi Senja"
any = ["kopi senja", "kopisenja*", "#kopisenja"]
near = [["senja", "latte", 3]]
none = ["kopi senja hari"]
"""


# A second brand, for a line that it should not have.
PLAIN = HEAD + '[[brand]]\nname = "a"\nany = ["a"]\n[[brand]]\nname = "b"\n{}\n'


def named(brands: Brands, text: str, *, source: str = "demo", at_ms: int = 1_800_000_000_000) -> list[str]:
    return [match.brand for match, _ in brands.match(text, source, at_ms)]


@pytest.mark.parametrize(("text", "is_named"), [
    ("Kopi Senja enak!", True),
    ("KOPI-SENJA", True),
    ("kopisenjaku sayang", True),
    ("#KopiSenja", True),
    ("ko\u200bpi senja", True),
    ("ｋｏｐｉ ｓｅｎｊａ", True),
    ("latte di kala senja", True),
    ("latte itu enak diminum waktu senja", False),
    ("sekopi senja", False),
    ("kopi enak di waktu senja", False),
    ("kopi senja hari yang indah", False),
    ("#kopi #senja", False),
    ("", False),
])
def test_a_phrase_is_found_as_whole_words(text: str, is_named: bool) -> None:
    """Case, width and punctuation do not matter; words and their `#` do."""
    assert (["kopi-senja"] if is_named else []) == named(Brands.parse(COFFEE), text)


def test_a_post_meets_the_rule_of_its_own_time() -> None:
    """Two rules of one brand: the event time decides, not the time of reading."""
    #            2026-02-01
    #  --- kopi ----|---- susu ----->
    both = Brands.parse(HEAD + '[[brand]]\nname = "a"\nany = ["kopi"]\n'
                        '[[brand]]\nname = "a"\nany = ["susu"]\nfrom = 2026-02-01T00:00:00Z\n')
    turn = 1_769_904_000_000
    assert ["a"] == named(both, "kopi", at_ms=turn - 1)
    assert [] == named(both, "kopi", at_ms=turn)
    assert ["a"] == named(both, "susu", at_ms=turn)
    assert ("a",) == both.names


def test_a_handle_is_no_part_of_a_mail_address() -> None:
    """`@` belongs to its word only where a word begins."""
    brands = Brands.parse(HEAD + '[[brand]]\nname = "a"\nany = ["@kopi"]\n')
    assert ["a"] == named(brands, "halo @kopi!")
    assert [] == named(brands, "surat ke halo@kopi.id")


def test_a_word_keeps_the_signs_that_combine_with_its_letters() -> None:
    """Vowel signs make another word: Devanagari is not named by its consonants."""
    brands = Brands.parse(HEAD + '[[brand]]\nname = "a"\nany = ["कि"]\n')
    assert ["a"] == named(brands, "हाँ कि नहीं")
    assert [] == named(brands, "का")


def test_two_words_far_apart_a_thousand_times_take_no_time() -> None:
    """The longest post allowed, made to hurt: nearness is found in one pass, so the event loop does not stand still."""
    brands = Brands.parse(HEAD + '[[brand]]\nname = "a"\nany = ["zzz"]\nnear = [["x", "y", 3]]\n')
    began = time.process_time()
    assert [] == named(brands, "x " * 2400 + "o o o o " + "y " * 2400)
    assert ["a"] == named(brands, "x " * 2400 + "o " + "y " * 2400)
    assert time.process_time() - began < 1.0  # pairs of pairs took minutes


def test_all_and_sources_narrow() -> None:
    """Every phrase of `all` must be there, and the source be one of those listed."""
    brands = Brands.parse(HEAD + '[[brand]]\nname = "a"\nall = ["kopi", "susu"]\nsources = ["bluesky"]\n')
    assert ["a"] == named(brands, "susu dan kopi", source="bluesky")
    assert [] == named(brands, "susu dan kopi", source="file")
    assert [] == named(brands, "kopi", source="bluesky")


@pytest.mark.parametrize(("toml", "says"), [
    (COFFEE.replace("any =", "anny ="), "anny.*did you mean any"),
    (COFFEE.replace("number", "nmber", 1), "nmber.*did you mean number"),
    (COFFEE.replace("number = 1", "number = 0"), "number"),
    (COFFEE.replace("number = 1", 'number = "one"'), "number"),
    (COFFEE.replace('"kopi-senja"', '"Kopi Senja!"', 1), "name may hold"),
    (COFFEE.replace('["kopi senja", ', '["!!!", '), "no word is left"),
    (COFFEE.replace("00Z", "00"), "time zone"),
    (HEAD + '[[brand]]\nname = "a"\n', "never be named"),
    (COFFEE + COFFEE[len(HEAD):], "two rules from the same time"),
    (COFFEE + 'from = 2026-01-01T00:10:00Z\n', "less than 15 minutes"),
    ("number = ", "not TOML"),
    (COFFEE.replace("published = 2026-01-01T00:00:00Z\n", ""),
     "^published is missing: the time of publication, such as published = 2026-11-25T06:00:00Z$"),
    (COFFEE.replace("T00:00:00Z", "", 1),
     "^published needs a time and a zone, such as published = 2026-11-25T06:00:00Z$"),
    (COFFEE + "from = 2026-01-02\n", r"^brand \d: from needs a time and a zone, such as from = 2026-11-25T06:30:00Z$"),
    (PLAIN.format('any = "Kopi Kita"'), r'^brand 2: any is a list: any = \["kopi senja"\]$'),
    (PLAIN.format('near = ["kopi", "senja"]'),
     r'^brand 2: near is a list of lists: near = \[\["senja", "kopi", 3\]\]$'),
    (PLAIN.format('near = [["kopi", "senja"]]'), "^brand 2: near is a list of lists"),
    (PLAIN.format('near = [["kopi", "senja", 99]]'), r"^brand 2: near\[0\]\[2\]: expected `int` <= 50$"),
    (PLAIN.format('own.tags = "#senja"'), r'^brand 2: own.tags is a list: own.tags = \["#senjahemat"\]$'),
    (PLAIN.format('own = ["#senja"]'), "^brand 2: own is two lists: say own.accounts and own.tags$"),
    (PLAIN.format('own.tag = ["#senja"]'), "^unknown key 'tag' in own of brand 2 .did you mean tags"),
    (PLAIN.format("title = 7"), "^brand 2: title: expected `str`, got `int`$"),
    (HEAD + '[[brand]]\nany = ["kopi"]\n', "^brand 1: name is missing: what figures call the brand"),
    (HEAD, "^brand is missing: every brand begins with a line"),
    (HEAD + '[brand]\nname = "a"\n', "^brand is a list: every brand begins with a line .*in double brackets$"),
    (COFFEE + COFFEE[len(HEAD):], "put the phrases into one entry, or give the later one a `from`$"),
])
def test_a_bad_file_is_refused_and_says_where(toml: str, says: str) -> None:
    """The message names the key and suggests the nearest."""
    with pytest.raises(BadBrands, match=re.compile(says, re.DOTALL)):
        Brands.parse(toml)


def test_a_file_has_no_more_rules_than_a_row_has_numbers() -> None:
    """A mention's row says in two bytes by which of them it was found."""
    days = [datetime(2026, 2, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(2**16)]
    brands = tuple(Brand(name="a", any=("a",), since=day) for day in days)
    with pytest.raises(BadBrands, match="more than 65535 different times"):
        Brands(BrandFile(number=1, published=datetime(2026, 1, 1, tzinfo=UTC), brand=brands))


@pytest.mark.parametrize(("change", "says"), [
    (("number = 1", "number = 1"), "numbers only rise"),
    (('"kopi senja", ', ""), "at least 15 minutes after"),
    (('name = "kopi-senja"', 'name = "kopi-pagi"'), "at least 15 minutes after"),
])
def test_a_new_file_may_not_change_the_past(change: tuple[str, str], says: str) -> None:
    """A rule that holds already is not edited: workers that read the file at different times would disagree."""
    old = Brands.parse(COFFEE)
    new = Brands.parse(COFFEE.replace(*change).replace("number = 1", f"number = {2 if change[0] != change[1] else 1}"))
    with pytest.raises(BadBrands, match=says):
        new.follows(old)


def test_a_new_file_may_add_a_rule_of_the_future() -> None:
    """The old rule stays beside it."""
    more = COFFEE.replace("number = 1", "number = 2") + (
        '[[brand]]\nname = "kopi-senja"\nany = ["senja"]\nfrom = 2026-01-01T00:15:00Z\n')
    Brands.parse(more).follows(Brands.parse(COFFEE))
    with pytest.raises(BadBrands, match="is gone"):
        Brands.parse(COFFEE.replace("number = 1", "number = 3")).follows(Brands.parse(more))


_word = st.sampled_from(["kopi", "susu", "teh", "#kopi", "gula"])
_phrases = st.lists(st.lists(_word, min_size=1, max_size=2).map(" ".join), min_size=1, max_size=4, unique=True)


@given(st.lists(_phrases, min_size=1, max_size=5), st.lists(_word, max_size=9).map(" ".join))
def test_the_automaton_finds_what_a_plain_search_finds(rules: list[list[str]], text: str) -> None:
    """One pass over all brands' phrases gives what looking for each phrase alone gives."""
    toml = HEAD + "".join(f'[[brand]]\nname = "b{at}"\nany = {phrases}\n' for at, phrases in enumerate(rules))
    slow = [f"b{at}" for at, phrases in enumerate(rules) if any(words(p) in words(text) for p in phrases)]
    assert slow == named(Brands.parse(toml.replace("'", '"')), text)


def test_a_brand_is_called_what_its_rules_say() -> None:
    """Its name and title, and every phrase of every rule of its own that makes a post one of the brand's."""
    brands = Brands.parse("""
        number = 1
        published = 2026-01-01T00:00:00Z
        [[brand]]
        name = "kopi-lumora"
        title = "Kopi Lumora"
        any = ["lumora", "kopilumora*"]
        none = ["lumora street"]
        near = [["senja", "kopi", 3]]
        own.tags = ["#lumora"]
        [[brand]]
        name = "quovira"
        any = ["quovira"]
        """)
    said = {"kopi-lumora", "Kopi Lumora", "lumora", "kopilumora*", "#lumora", "senja", "kopi"}
    assert said == brands.called("kopi-lumora")
    assert frozenset() == brands.called("nobody")
