"""Lint of brand files: what it finds, what it leaves alone, and that what it says of a phrase holds for any text."""

import time
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.agents.pulse import called
from streams.heart.brands import Brands
from streams.heart.errors import BadBrands
from streams.heart.everyday import WORDS, everyday
from streams.heart.flaws import Kind
from streams.heart.lint import Finding, lint
from streams.metrics import Called

HEAD = "number = 1\npublished = 2026-01-01T00:00:00Z\n"
LANGUAGES = ("en", "id")
AT_MS = 1_800_000_000_000


def toml(*rules: str) -> str:
    """A brand file; a rule without a name is brand `a`, `b`, … in turn, and has a title if it gives one."""
    names = "abcdefgh"
    return HEAD + "".join(
        f'[[brand]]\n{"" if "name =" in rule else f"name = {names[at]!r}"}\n{rule}\n'.replace("'", '"')
        for at, rule in enumerate(rules))


def found(*rules: str) -> list[Finding]:
    """What lint says of them."""
    return lint(Brands.parse(toml(*rules)), LANGUAGES)


def named(rule: str, text: str) -> bool:
    """Whether a rule names a text."""
    return bool(Brands.parse(toml(rule)).match(text, "demo", AT_MS))


# Kind, a file that has it, the nearest that has it not.
EXAMPLES = [
    (Kind.SIGN, ["any = ['kopi*senja']"], ["any = ['kopisenja*']"]),
    (Kind.SIGN, ["any = ['quovira|lajuro']"], ["any = ['quovira', 'lajuro']"]),
    (Kind.SIGN, ["any = ['quovira OR lajuro']"], ["any = ['QUOVIRA OR LAJURO']"]),
    (Kind.SIGN, ["any = ['# quovira']"], ["any = ['#quovira', 'quovira']"]),
    (Kind.SCRIPT, ["any = ['qu\u043evira']"], ["any = ['quovira', '\u043a\u0432\u043e\u0432\u0438\u0440\u0430']"]),
    (Kind.SCRIPT, ["any = ['\u30af\u30aa\u30d3\u30e9']"], ["any = ['\ucfe0\uc624\ube44\ub77c']"]),
    (Kind.SIGN, ["any = ['quov?ra']"], ["any = ['quovira?']"]),
    (Kind.SPELT, ["any = ['quovira']\nnone = ['quovirra street']"], ["any = ['quovira', 'quovirra']"]),
    (Kind.REPEATED, ["any = ['quovira']\nlanguages = ['id', 'id']"], ["any = ['quovira']\nlanguages = ['id', 'en']"]),
    (Kind.REPEATED, ["any = ['quovira', 'QUOVIRA!']"], ["any = ['quovira', '#quovira']"]),
    (Kind.REPEATED, ["near = [['quovira', 'hp', 3], ['hp', 'Quovira', 5]]"],
     ["near = [['quovira', 'hp baru', 3], ['quovira', 'ponsel', 5]]"]),
    (Kind.REPEATED, ["any = ['quovira']\nown.accounts = ['push:1', 'push:1']"],
     ["any = ['quovira']\nown.accounts = ['push:1', 'push:2']"]),
    (Kind.SHADOWED, ["any = ['kopi senja enak', 'kopi senja']"], ["any = ['kopi senja enak', 'kopi senjaku']"]),
    (Kind.SHADOWED, ["any = ['kopisenja2', 'kopisenja*']"], ["any = ['kopisenja2', '#kopisenja*']"]),
    (Kind.SHADOWED, ["any = ['kriwila', 'mie kriwila']\ntitle = 'Mi Kriwila'"],
     ["any = ['kriwila', 'mi kriwila']\ntitle = 'Mi Kriwila'"]),
    (Kind.IDLE, ["any = ['quovira']\nnear = [['quovira', 'ponsel', 3]]"],
     ["any = ['quovira q']\nnear = [['quovira', 'ponsel', 3]]"]),
    (Kind.IDLE, ["near = [['senja', 'kopi senja', 3]]"], ["near = [['senja', 'kopi enak sekali senja', 2]]"]),
    (Kind.IDLE, ["any = ['kopi senja', 'kopi pagi']\nall = ['kopi']"],
     ["any = ['kopi senja', 'pagi']\nall = ['kopi']"]),
    (Kind.IDLE, ["all = ['kopi', 'kopi senja']"], ["all = ['kopi', 'senja']"]),
    (Kind.IDLE, ["any = ['quovira']\nnone = ['quo', 'quo vadis']"],
     ["any = ['quovira']\nnone = ['quo vadis', 'quos']"]),
    (Kind.IDLE, ["name = 'a'\nany = ['quovira']", "name = 'a'\nnone = ['x9y']\nfrom = 2025-01-01T00:00:00Z"],
     ["name = 'a'\nany = ['quovira']", "name = 'a'\nfrom = 2025-01-01T00:00:00Z"]),
    (Kind.DEAD, ["any = ['kopi senja hari', 'kopi pagiku']\nnone = ['senja hari']"],
     ["any = ['kopi senja', 'kopi pagiku']\nnone = ['senja hari']"]),
    (Kind.NEVER, ["any = ['quovira']\nnone = ['quovira']"], ["any = ['quovira']\nnone = ['#quovira']"]),
    (Kind.NEVER, ["all = ['kopi', 'senja']\nnone = ['senja*']"], ["all = ['kopi', 'senja']\nnone = ['senja hari']"]),
    (Kind.NEVER, ["near = [['sagarma', 'saldo', 3]]\nnone = ['sagarma*']"],
     ["near = [['sagarma', 'saldo', 3]]\nnone = ['sagarma beach']"]),
    (Kind.COMMON, ["any = ['senja']"], ["any = ['senjaku']"]),
    (Kind.COMMON, ["any = ['apple']"], ["any = ['apple']\nlanguages = ['id']"]),
    (Kind.COMMON, ["any = ['kopi', 'kopi lumora']\nnone = ['lampu lumora']"],
     ["any = ['kopi', 'kopi lumora']\nnone = ['kopi enak']"]),
    (Kind.COMMON, ["any = ['apple']"], ["any = ['apple']\nnone = ['pie']"]),
    (Kind.COMMON, ["any = ['#indah']"], ["any = ['#indah']\nall = ['kain']"]),
    (Kind.COMMON, ["all = ['orange']"], ["all = ['orange', 'telecom']"]),
    (Kind.COMMON, ["any = ['oran*']"], ["any = ['quov*']"]),
    (Kind.COMMON, ["any = ['quovira']\nnone = ['yang']"], ["any = ['quovira']\nnone = ['yang lain']"]),
    (Kind.SLIGHT, ["any = ['qx']"], ["any = ['qxv']"]),
    (Kind.SLIGHT, ["any = ['quo*']"], ["any = ['quov*']"]),
    (Kind.SLIGHT, ["any = ['212']"], ["any = ['quovira 212']"]),
    (Kind.SLIGHT, ["near = [['quovira', 'ponsel', 21]]"], ["near = [['quovira', 'ponsel', 20]]"]),
    (Kind.TAGS, ["any = ['#quovira']"], ["any = ['#quovira', 'quovira']"]),
    (Kind.TAGS, ["any = ['kopi senja']"], ["any = ['kopi senja', '#kopisenja']"]),
    (Kind.TAGS, ["any = ['quovira']\nown.tags = ['#quoviraday']"],
     ["any = ['quovira', '#quovira*']\nown.tags = ['#quoviraday']"]),
    (Kind.TITLE, ["any = ['quovria']\ntitle = 'Quovira'"], ["any = ['quovira']\ntitle = 'Quovira Indonesia'"]),
    (Kind.OWN, ["any = ['quovira']\nown.accounts = ['bluesky:quovira.example']"],
     ["any = ['quovira']\nown.accounts = ['bluesky:did:plc:abc234']"]),
    (Kind.OWN, ["any = ['quovira']\nown.accounts = ['mastodon:@quovira@social.example']"],
     ["any = ['quovira']\nown.accounts = ['mastodon:quovira@social.example']"]),
    (Kind.OWN, ["any = ['quovira']\nsources = ['news']\nown.accounts = ['push:7']"],
     ["any = ['quovira']\nsources = ['news', 'push']\nown.accounts = ['push:7']"]),
    (Kind.LIMIT, ["any = ['quovira']\nlanguages = ['indonesian']"], ["any = ['quovira']\nlanguages = ['id']"]),
    (Kind.LIMIT, ["any = ['quovira']\nlanguages = ['fr']"], ["any = ['quovira']\nlanguages = ['en']"]),
    (Kind.LIMIT, ["any = ['quovira']\nsources = ['blusky']"], ["any = ['quovira']\nsources = ['forum']"]),
    (Kind.UNCHANGED, ["name = 'a'\nany = ['quovira']", "name = 'a'\nany = ['quovira']\nfrom = 2025-01-01T00:00:00Z"],
     ["name = 'a'\nany = ['quovira']", "name = 'a'\nany = ['quoviras']\nfrom = 2025-01-01T00:00:00Z"]),
    (Kind.DROPPED, ["name = 'a'\nany = ['quovira']\ngroup = 'x'",
                    "name = 'a'\nany = ['quoviras']\nfrom = 2025-01-01T00:00:00Z"],
     ["name = 'a'\nany = ['quovira']\ngroup = 'x'", "name = 'a'\nfrom = 2025-01-01T00:00:00Z"]),
    (Kind.DROPPED, ["name = 'a'\nany = ['quovira']\nown.tags = ['#quovira']",
                    "name = 'a'\nany = ['quoviras']\nfrom = 2025-01-01T00:00:00Z"],
     ["name = 'a'\nany = ['quovira']\nown.tags = ['#quovira']",
      "name = 'a'\nany = ['quoviras']\nfrom = 2025-01-01T00:00:00Z\nown.tags = ['#quoviras']"]),
    (Kind.TOGETHER, ["any = ['quovira']", "any = ['quovira']"], ["any = ['quovira']", "any = ['#quovira']"]),
    (Kind.TOGETHER, ["name = 'a'\nany = ['quovira']", "name = 'b'\nany = ['quovira']\nfrom = 2025-01-01T00:00:00Z",
                     "name = 'a'\nfrom = 2025-01-02T00:00:00Z"],
     ["name = 'a'\nany = ['quovira']", "name = 'b'\nany = ['quovira']\nfrom = 2025-01-02T00:00:00Z",
      "name = 'a'\nfrom = 2025-01-02T00:00:00Z"]),
    (Kind.TOGETHER, ["any = ['quovira q7']", "any = ['quovira']"],
     ["any = ['quovira q7']", "any = ['quovira']\nnone = ['q7']"]),
    (Kind.TOGETHER, ["any = ['quovira']\nlanguages = ['id']", "any = ['quovira']"],
     ["any = ['quovira']\nlanguages = ['id']", "any = ['quovira']\nlanguages = ['en']"]),
    (Kind.TOGETHER, ["any = ['quovira']\nown.accounts = ['push:1']", "any = ['lajuro']\nown.accounts = ['push:1']"],
     ["any = ['quovira']\nown.accounts = ['push:1']", "any = ['lajuro']\nown.accounts = ['push:2']"]),
    (Kind.GROUP, ["any = ['quovira']\ngroup = 'phones'"],
     ["any = ['quovira']\ngroup = 'x'", "any = ['lajuro']\ngroup = 'x'"]),
]


@pytest.mark.parametrize(("kind", "with_it", "without"), EXAMPLES)
def test_each_kind_has_a_file_that_has_it_and_one_that_has_it_not(
        kind: Kind, with_it: list[str], without: list[str]) -> None:
    """The two differ by as little as makes the difference."""
    assert kind in {one.kind for one in found(*with_it)}
    assert kind not in {one.kind for one in found(*without)}


def test_every_kind_has_an_example() -> None:
    """But `broad`, which needs posts (tests/test_tryout.py)."""
    assert set(Kind) - {Kind.BROAD} == {kind for kind, _, _ in EXAMPLES}


@pytest.mark.parametrize("rule", [
    "any = ['quovira', '#quovira*']\ntitle = 'Quovira'\nnone = ['quovira street']\nlanguages = ['id', 'en']",
    "all = ['sagarma', 'bank']",
    "near = [['senja', 'kopi', 3]]",
    "any = ['bank sagarma', '#banksagarma']\nnear = [['sagarma', 'saldo', 5]]\ntitle = 'Bank Sagarma'",
])
def test_a_good_rule_has_no_finding(rule: str) -> None:
    """What a careful writer writes is left alone."""
    assert [] == found(rule)


def test_the_demos_brands_have_nothing_but_notes() -> None:
    """A campaign's tag that is no mention, on purpose, and a spelling that is written out for people."""
    brands = Brands.parse((files("streams") / "demo" / "brands.toml").read_text("utf-8"))
    findings = lint(brands, LANGUAGES)
    assert all(one.is_note for one in findings)
    assert {Kind.TAGS, Kind.SHADOWED} >= {one.kind for one in findings}


def test_a_finding_is_one_line_that_names_the_brand() -> None:
    """And says whether it is more than a note."""
    assert ['warning: brand a: any holds "senja", a common word: posts that mean no brand will name it; '
            'hold it by all, none or languages, or say it in near'] == list(map(str, found("any = ['senja']")))
    assert ['note: brand a: alone in group "x", so its share of voice is always 1'] == list(map(str, found(
        "any = ['quovira']\ngroup = 'x'")))


def test_a_brand_of_several_rules_is_told_which() -> None:
    """By the time from which the rule holds."""
    said = found("name = 'a'\nany = ['quovira']", "name = 'a'\nany = ['senja']\nfrom = 2025-01-01T00:00:00Z")

    assert ["rule 2025-01-01T00:00:00+00:00: any holds"] == [one.sentence[:41] for one in said]


DROPS = """
[[brand]]
name = "a"
any = ["quovira"]
group = "phones"
own.accounts = ["push:1"]
own.tags = ["#quovira"]
[[brand]]
name = "a"
any = ["quovira", "#quovira"]
from = 2030-01-01T00:00:00Z
"""


def test_what_a_later_rule_does_not_say_is_told() -> None:
    """As notes: its group stays, its own hand does not."""
    said = [str(one) for one in lint(Brands.parse(HEAD + DROPS)) if one.kind is Kind.DROPPED]
    rule = "note: brand a: the rule from 2030-01-01T00:00:00+00:00 says no"
    assert [f'{rule} group; it stays in "phones", as the one before it says',
            *(f"{rule} own.{key}, which the one before it has: from then on they prompt nothing"
              for key in ("accounts", "tags"))] == said


def test_a_rule_yet_to_begin_that_says_no_group_leaves_the_brand_in_its_own() -> None:
    """Its share of voice goes on today, as the note says."""
    assert {"a": Called("a", "phones")} == called(Brands.parse(HEAD + DROPS))


def test_a_misspelling_is_told_beside_the_phrase_that_it_is_like() -> None:
    """The first in the alphabet; words of fewer than five letters are like too many others."""
    said = [one.sentence for one in found("any = ['quovirra', 'lumo', 'quovira']\nnone = ['quovirras jual', 'lumos']")
            if one.kind is Kind.SPELT]
    assert ['none holds "quovirras jual", any spells it "quovirra"'] == said


@pytest.mark.parametrize("own", ['["@quovira"]', '"@quovira"'])
def test_own_without_a_key_is_told_which_there_are(own: str) -> None:
    """Where files of one list are remembered, it is the likeliest mistake."""
    with pytest.raises(BadBrands, match=r"^brand 1: own is two lists: say own\.accounts and own\.tags"):
        Brands.parse(HEAD + f'[[brand]]\nname = "a"\nany = ["quovira"]\nown = {own}\n')


# Words of every day.


@pytest.mark.parametrize(("word", "langs"), [
    ("senja", ("id",)), ("indah", ("id",)), ("bali", ("id",)), ("apple", ("en",)), ("gap", ("en",)),
    ("orange", ("en",)), ("sunlight", ("en",)), ("melon", ("id", "en")), ("quovira", ()), ("lajuro", ()),
    ("lumora", ()), ("kriwila", ()), ("sagarma", ()),
])
def test_common_words_are_told_from_invented_names(word: str, langs: tuple[str, ...]) -> None:
    """Of the two languages that the model knows."""
    assert langs == everyday(word)


def test_the_list_holds_words_as_texts_hold_them() -> None:
    """Folded, of two letters at least, a few hundred of each language."""
    for known in WORDS.values():
        assert 700 < len(known)
        assert all(word.isalpha() and word == word.casefold() and len(word) > 1 for word in known)


# What it says of a phrase holds for any text.

_word = st.sampled_from(["kopi", "senja", "enak", "kopisenja", "kopisenja2", "#senja", "hari"])
_phrase = st.tuples(st.lists(_word, min_size=1, max_size=3).map(" ".join), st.sampled_from(["", "", "*"])).map("".join)
_phrases = st.lists(_phrase, min_size=2, max_size=4, unique=True)
_text = st.lists(_word, max_size=10).map(" ".join)


@given(_phrases, st.lists(_text, min_size=1, max_size=20))
def test_a_shadowed_phrase_can_be_dropped(phrases: list[str], texts: list[str]) -> None:
    """The rule without it names the same texts."""
    shadowed = [one.sentence.split('"')[1] for one in found(f"any = {phrases}") if one.kind is Kind.SHADOWED]
    if shadowed:
        rest = [said for said in phrases if said not in shadowed]
        assert rest
        for text in [*texts, *(said.rstrip("*") for said in phrases)]:
            assert named(f"any = {phrases}", text) == named(f"any = {rest}", text)


@given(_phrases, _phrase, st.lists(_text, min_size=1, max_size=20))
def test_a_rule_that_can_never_be_met_never_is(phrases: list[str], barred: str, texts: list[str]) -> None:
    """Neither by random texts nor by those that hold its phrases."""
    rule = f"any = {phrases}\nnone = {[barred]}"
    if any(one.kind is Kind.NEVER for one in found(rule)):
        for text in [*texts, *(said.rstrip("*") + end for said in phrases for end in ("", "ku", " enak"))]:
            assert not named(rule, text)


@given(_phrases, _phrase, st.lists(_text, min_size=1, max_size=20))
def test_a_dead_phrase_names_nothing(phrases: list[str], barred: str, texts: list[str]) -> None:
    """Dropped, the rule names the same texts."""
    rule = f"any = {phrases}\nnone = {[barred]}"
    dead = [one.sentence.split('"')[1] for one in found(rule) if one.kind is Kind.DEAD]
    if dead:
        rest = f"any = {[said for said in phrases if said not in dead]}\nnone = {[barred]}"
        for text in [*texts, *(said.rstrip("*") for said in phrases)]:
            assert named(rule, text) == named(rest, text)


@given(_phrases, _phrase, st.lists(_text, min_size=1, max_size=20))
def test_an_idle_all_can_be_dropped(phrases: list[str], needed: str, texts: list[str]) -> None:
    """It narrows nothing."""
    rule = f"any = {phrases}\nall = {[needed]}"
    if any(one.kind is Kind.IDLE for one in found(rule)):
        for text in [*texts, *(said.rstrip("*") for said in phrases)]:
            assert named(rule, text) == named(f"any = {phrases}", text)


@given(_phrase, _phrase, st.integers(1, 3), st.lists(_text, min_size=1, max_size=20))
def test_an_idle_near_is_as_good_as_a_phrase_of_any(one: str, other: str, apart: int, texts: list[str]) -> None:
    """The longer of two that lie in each other is found alone."""
    rule = f'near = [["{one}", "{other}", {apart}]]'
    idle = [said for said in found(rule) if said.kind is Kind.IDLE]
    if idle:
        alone = idle[0].sentence.split(": ")[1].split('"')[1]
        for text in [*texts, one.rstrip("*"), other.rstrip("*")]:
            assert named(rule, text) == named(f'any = ["{alone}"]', text)


@given(_phrases, _phrases, st.lists(_text, min_size=1, max_size=20))
def test_brands_that_are_named_together_are(one: list[str], other: list[str], texts: list[str]) -> None:
    """Whatever text holds the phrase that is told names both."""
    brands = Brands.parse(toml(f"any = {one}", f"any = {other}"))
    for finding in lint(brands):
        if finding.kind is Kind.TOGETHER:
            said = finding.sentence.split('"')[1].rstrip("*")
            for text in (f"{before} {said} {after}" for before, after in zip(texts, reversed(texts), strict=True)):
                assert 2 == len(brands.match(text, "demo", AT_MS))


# Forty mistakes, as people make them. What lint (or the reading before it) says must hold the word beside each.
GOOD = """
[[brand]]
name = "kopi-lumora"
title = "Kopi Lumora"
any = ["kopi lumora", "kopilumora", "#kopilumora"]
near = [["lumora", "ngopi", 5]]
none = ["lampu lumora"]
languages = ["id", "en"]
group = "food"
own.accounts = ["bluesky:did:plc:abc234"]
own.tags = ["#kopilumoraday"]

[[brand]]
name = "quovira"
title = "Quovira"
any = ["quovira", "#quovira*"]
group = "food"
"""
MISTAKES = [
    ('any = ["kopi lumora", ', 'anny = ["kopi lumora", ', "did you mean any"),
    ('own.accounts = ["', 'own.acounts = ["', "acounts"),
    ('own.tags = ["#', 'own.tags = ["', "begins with #"),
    ('own.accounts = ["bluesky:did:plc:abc234"]', 'own.accounts = ["@kopilumora"]', "expected source:account"),
    ('languages = ["id", "en"]', 'languages = "id"', "languages"),
    ('["lumora", "ngopi", 5]', '["lumora", "ngopi"]', "near"),
    ('["lumora", "ngopi", 5]', '["lumora", "ngopi", 500]', "near"),
    ('"kopi lumora", ', '"!!", ', "no word"),
    ('name = "quovira"', 'name = "Quovira"', "name may hold"),
    ('name = "quovira"', 'name = "kopi-lumora"', "two rules"),
    ('any = ["kopi lumora", ', 'any = ["kopi lumora, ngopi", ', ", only parts"),
    ('any = ["kopi lumora", ', 'any = ["kopi OR lumora", ', "OR, AND"),
    ('any = ["kopi lumora", ', 'any = ["(kopi)? lumora", ', "only parts"),
    ('any = ["kopi lumora", ', 'any = ["*lumora", ', "ends a prefix"),
    ('any = ["kopi lumora", ', 'any = ["kopi lumora", "Kopi-Lumora", ', "2 times"),
    ('any = ["kopi lumora", ', 'any = ["kopi lumora", "kopi lumora enak", ', "found by"),
    ('any = ["kopi lumora", ', 'any = ["kopi lumora", "lumora", ', "found by any"),
    ('any = ["kopi lumora", ', 'any = ["kopi lumorra", ', "its title"),
    ('any = ["kopi lumora", "kopilumora", ', 'any = ["kopilumora", "# kopilumora", ', "is lost"),
    ('any = ["kopi lumora", ', 'any = ["kopi lum\u043era", ', "two scripts"),
    ('any = ["kopi lumora", ', 'any = ["kopi lumora", "kopi", ', "common word"),
    ('any = ["quovira", ', 'any = ["quovira", "matahari", ', "common word"),
    ('any = ["quovira", ', 'any = ["quovira", "target", ', "common word"),
    ('any = ["quovira", ', 'any = ["quovira", "q7", ', "fewer than 3"),
    ('any = ["quovira", ', 'any = ["quovira", "quo*", ', "fewer than 4"),
    ('any = ["quovira", ', 'any = ["quovira", "2026", ', "a number"),
    ('any = ["quovira", ', 'any = ["quovira", "the", ', "nearly every post"),
    ('any = ["quovira", ', 'any = ["quovira", "kopilumora", ', "names quovira too"),
    ('any = ["quovira", ', 'any = ["quovira", "hp kopilumora", ', "names kopi-lumora too"),
    ('none = ["lampu lumora"]', 'none = ["lumora"]', "none keeps out"),
    ('none = ["lampu lumora"]', 'none = ["kopi*", "#kopi*", "lumora"]', "never be named"),
    ('none = ["lampu lumora"]', 'none = ["lampu lumora", "jual lampu lumora"]', "kept out by"),
    ('none = ["lampu lumora"]', 'none = ["dan"]', "nearly every post"),
    ('["lumora", "ngopi", 5]', '["lumora", "kopi lumora", 5]', "found by any"),
    ('["lumora", "ngopi", 5]', '["lumora", "di", 5]', "nearly every post"),
    ('languages = ["id", "en"]', 'languages = ["ID"]', "ISO 639"),
    ('languages = ["id", "en"]', 'languages = ["id", "ja"]', "abstains"),
    ('own.accounts = ["bluesky:did:plc:abc234"]', 'own.accounts = ["bluesky:kopilumora.example"]', "a DID"),
    ('own.accounts = ["bluesky:did:plc:abc234"]', 'own.accounts = ["mastodon:kopilumora"]', "user@host"),
    ('group = "food"\nown', 'group = "foood"\nown', "did you mean food"),
]


def said_of(text: str) -> str:
    """All that the reading and the lint say of a file."""
    try:
        return "\n".join(map(str, lint(Brands.parse(text), LANGUAGES)))
    except BadBrands as error:
        return str(error)


def test_of_forty_mistakes_at_least_38_are_found() -> None:
    """Each is one change to a file in which nothing is wrong but that a campaign's tag is no mention."""
    assert 40 == len(MISTAKES)
    assert all(GOOD.count(old) for old, _, _ in MISTAKES)
    before = said_of(HEAD + GOOD)
    assert not [line for line in before.splitlines() if line.startswith("warning")]
    missed = [new for old, new, says in MISTAKES
              if says not in said_of(HEAD + GOOD.replace(old, new, 1)) or says in before]
    assert len(missed) <= 2, missed


def test_ten_thousand_brands_are_checked_in_seconds() -> None:
    """Phrases are looked for in each other all at once."""
    rules = "".join(f'[[brand]]\nname = "b{n}"\nany = ["xq{n:05}", "kopi xq{n:05}", "#xq{n:05}"]\n'
                    for n in range(10_000))
    brands = Brands.parse(HEAD + rules)
    began = time.process_time()
    assert 10_000 == len([one for one in lint(brands) if one.kind is Kind.SHADOWED])
    assert time.process_time() - began < 20.0  # 1.5 s on one idle core; pair by pair it takes minutes


def test_a_brand_of_twenty_thousand_phrases_is_checked_in_seconds() -> None:
    """Nor are the phrases of one rule held against each other pair by pair."""
    some, others = ([f"{beginning}{n:05}{end}" for n in range(10_000)]
                    for beginning, end in (("quxv", "zor"), ("wyzk", "lam jual")))
    near = [[f"borv{n:05}", "ponsel", 3] for n in range(300)]
    brands = Brands.parse(toml(f"any = {some}\nnone = {others}\nnear = {near}"))
    began = time.process_time()
    assert [] == lint(brands)
    assert time.process_time() - began < 20.0  # 0.5 s on one idle core; pair by pair it takes minutes
