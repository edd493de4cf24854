"""A brand file tried on posts: the numbers are those of a slow recount; what is borderline is shown, and says why."""

import csv
import json
import random
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations
from math import exp
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from streams import cli, tryout
from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.flaws import Kind
from streams.heart.nearly import Why
from streams.heart.preview import SHOWN, Preview, Told, poisson
from streams.tryout import Wish, as_json, check, cost, plain, scored, show, show_findings, try_file

HEAD = "number = 1\npublished = 2026-01-01T00:00:00Z\n"
NOON_MS = 1_795_608_000_000
RULES = HEAD + """
[[brand]]
name = "kopi-lumora"
title = "Kopi Lumora"
any = ["kopi lumora", "kopilumora*", "senja", "kopi lumora asli"]
near = [["lumora", "latte", 3]]
none = ["lampu lumora", "kopi lumora hari"]
own.tags = ["#lumoraday"]

[[brand]]
name = "quovira"
any = ["quovira", "quovira seri tujuh"]
languages = ["id"]

[[brand]]
name = "sagarma"
any = ["bank sagarma", "beach"]
all = ["saldo"]
none = ["pantai sagarma"]
"""


def preview(rules: str, *texts: str, lang: str | None = None, apart_ms: int = 60_000) -> Told:
    """What the rules do to some texts; each declares its language, and is believed."""
    told = Preview(Brands.parse(rules), lambda _, declared: declared or "und")
    for at, text in enumerate(texts):
        told.see(text, lang, NOON_MS + at * apart_ms)
    return told.told()


# Numbers.

_word = st.sampled_from(["kopi", "lumora", "lampu", "latte", "senja", "quovira", "bank", "sagarma", "saldo", "hari",
                         "kopilumoraku", "#lumoraday", "enak", "itu", "quovirra", "asli"])


@given(st.lists(st.tuples(st.lists(_word, max_size=9).map(" ".join), st.sampled_from(["id", "en"])), max_size=30))
def test_the_numbers_are_those_of_a_slow_recount(posts: list[tuple[str, str]]) -> None:
    """Matches, tags, posts that name a brand, and pairs, each counted by asking the rules about each post."""
    brands = Brands.parse(RULES)
    told = Preview(brands, lambda _, declared: declared or "und")
    matches: Counter[str] = Counter()
    tagged: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    named = 0
    for at, (text, lang) in enumerate(posts):
        told.see(text, lang, NOON_MS + at)
        found = [match for match, limited in brands.match(text, "", NOON_MS) if not limited or lang in limited]
        matches.update(match.brand for match in found)
        tagged.update(match.brand for match in found if match.tagged)
        pairs.update(combinations([match.brand for match in found], 2))
        named += bool(found)

    out = told.told()
    assert (len(posts), named) == (out.posts, out.named)
    assert [(name, matches[name], tagged[name]) for name in brands.names] == [
        (one.brand, one.matches, one.tagged) for one in out.brands]
    assert dict(pairs) == {(one, other): n for one, other, n in out.together}


def without(brand: str, clause: str) -> Brands:
    """The rules, but for one clause of one brand."""
    file = Brands.parse(RULES).file
    return Brands(msgspec.structs.replace(file, brand=tuple(
        msgspec.structs.replace(one, **{clause: ()}) if one.name == brand else one for one in file.brand)))


@given(st.lists(st.lists(_word, max_size=9).map(" ".join), max_size=30))
def test_what_a_clause_keeps_out_is_what_is_named_without_it(texts: list[str]) -> None:
    """For `none`, `all` and `languages`."""
    told = {one.brand: one.doubts for one in preview(RULES, *texts, lang="en").brands}
    for brand, clause, why in (("kopi-lumora", "none", Why.NONE), ("sagarma", "all", Why.ALL),
                               ("quovira", "languages", Why.LANGUAGE)):
        kept_out = 0
        for text in texts:
            now, then = (brand in {match.brand for match, limited in rules.match(text, "", NOON_MS)
                                   if not limited or "en" in limited}
                         for rules in (Brands.parse(RULES), without(brand, clause)))
            kept_out += then and not now
        assert kept_out == told[brand].get(why, 0)


def test_a_rate_is_the_posts_of_an_hour_with_its_interval() -> None:
    """Over the time that all posts span, not only those that match."""
    texts = ["senja indah"] * 30 + ["apa saja"] * 31
    (brand, *_) = preview(RULES, *texts).brands
    assert brand.rate is not None
    assert (30.0, *map(pytest.approx, poisson(30))) == tuple(brand.rate)
    assert pytest.approx(30 / 61) == brand.share


def test_posts_may_come_in_any_order() -> None:
    """They span the time from the first to the last that was said, not that was read."""
    told = Preview(Brands.parse(RULES), lambda *_: "id")
    for minutes in (30, 0, 60):
        told.see("senja", None, NOON_MS + minutes * 60_000)
    assert (NOON_MS, NOON_MS + 3_600_000) == told.told().span_ms


def test_ten_minutes_of_posts_are_no_rate() -> None:
    """Nor is a file in which all posts bear one time."""
    assert preview(RULES, "senja", "senja", apart_ms=599_999).brands[0].rate is None
    assert preview(RULES, "senja", "senja", apart_ms=600_000).brands[0].rate is not None
    assert preview(RULES).brands[0].rate is None


@pytest.mark.parametrize("count", [4, 5, 10, 50, 200])
def test_the_interval_is_that_of_poisson(count: int) -> None:
    """Beyond either end, what was seen has a chance of 2.5 %."""
    def below(mean: float, most: int) -> float:
        term, total = exp(-mean), 0.0
        for at in range(most + 1):
            total += term
            term *= mean / (at + 1)
        return total

    lower, upper = poisson(count)
    assert pytest.approx(0.025, abs=0.002) == 1 - below(lower, count - 1)
    assert pytest.approx(0.025, abs=0.002) == below(upper, count)


# What is shown.


@pytest.mark.parametrize(("text", "why", "how"), [
    ("kopi lumora hari ini", Why.NONE, 'kept out by none "kopi lumora hari"'),
    ("langit senja", Why.COMMON, 'only by "senja"'),
    ("ngopi di kopilumoraku dulu", Why.PREFIX, 'only by "kopilumora*": kopilumoraku'),
    ("lumora punya menu latte", Why.NEAR, 'only by near "lumora", "latte": 3 apart'),
    ("lumora punya menu baru namanya latte", Why.FAR, 'near "lumora", "latte": 5 apart, 3 allowed'),
    ("beli kopi lumorra", Why.SPELT, '"kopi lumorra" is nearly "kopi lumora"'),
    ("kopi asli dari lumora", Why.APART, 'the words of "kopi lumora", not together'),
    ("asli nih lumora", Why.MISSING, '2 of 3 words of "kopi lumora asli"'),
    ("quovirra rusak", Why.SPELT, '"quovirra" is nearly "quovira"'),
    ("quoviranya rusak", Why.SPELT, '"quoviranya" is nearly "quovira"'),
    ("#quovira", Why.SPELT, '"#quovira" is nearly "quovira"'),
    ("quovira bagus", Why.LANGUAGE, "its language: en"),
    ("antre di bank sagarma", Why.ALL, 'without all "saldo"'),
    ("banksagarma antre", Why.SPELT, '"banksagarma" is nearly "bank sagarma"'),
])
def test_a_borderline_post_is_shown_and_says_why(text: str, why: Why, how: str) -> None:
    """Once for the brand whose rule nearly decided otherwise."""
    doubts = [(dict(one.doubts), one.borderline) for one in preview(RULES, text, lang="en").brands if one.doubts]
    assert [({why: 1}, ((text, how),))] == doubts


@pytest.mark.parametrize("text", [
    "kopi lumora saja", "lumora pesan latte", "kopi lumora dan senja", "apa kabar", "", "lampu taman", "quo vadis",
    "kopilumora",
    "lumora satu dua tiga empat lima enam tujuh delapan latte", "bank sagarma di pantai sagarma", "saldo peach"])
def test_a_clear_post_is_not_borderline(text: str) -> None:
    """Neither what two clauses name, or one strong one, nor what is far from all."""
    assert [] == [one.doubts for one in preview(RULES, text, lang="id").brands if one.doubts]


def test_five_are_shown_of_as_many_kinds_as_there_are() -> None:
    """A hundred of one kind leave room for the others."""
    texts = [f"senja ke {at}" for at in range(100)] + ["lampu lumora di kala senja", "kopi lumorra"]
    (brand, *_) = preview(RULES, *texts).brands
    assert {Why.COMMON: 100, Why.NONE: 1, Why.SPELT: 1} == brand.doubts
    assert SHOWN == len(brand.borderline) == len(brand.examples)
    assert {'kept out by none "lampu lumora"', '"kopi lumorra" is nearly "kopi lumora"'} < {
        one.how for one in brand.borderline}


def test_the_same_posts_give_the_same_examples_in_any_order() -> None:
    """And a copied text is one example."""
    texts = [f"senja ke {at}" for at in range(40)] * 3
    shuffled = random.Random(1).sample(texts, len(texts))
    one, other = (preview(RULES, *order).brands[0] for order in (texts, shuffled))
    assert (one.examples, one.borderline) == (other.examples, other.borderline)
    assert SHOWN == len({shown.text for shown in one.examples})


def test_no_more_posts_are_kept_than_are_shown() -> None:
    """Whatever comes, memory stays."""
    told = Preview(Brands.parse(RULES), lambda *_: "id")
    for at in range(3_000):
        told.see(f"senja quovira {at}", None, NOON_MS + at)
    kept = [shown for rule in told._rules for few in (rule.examples, *rule._kept.values()) for shown in few]
    assert len(kept) <= len(told._rules) * SHOWN * (1 + len(Why))


def test_a_draft_is_tried_as_if_it_had_always_held() -> None:
    """The latest rule of each brand, though it begins after the posts; a brand that has ended is not tried."""
    rules = HEAD + """
[[brand]]
name = "a"
any = ["quovira"]
[[brand]]
name = "a"
any = ["lajuro"]
from = 2030-01-01T00:00:00Z
[[brand]]
name = "b"
any = ["lajuro"]
[[brand]]
name = "b"
from = 2030-01-01T00:00:00Z
"""
    assert [("a", 1)] == [(one.brand, one.matches) for one in preview(rules, "quovira", "lajuro").brands]


def test_sources_decide_only_where_one_is_named() -> None:
    """A file of posts seldom says where they come from."""
    brands = Brands.parse(HEAD + '[[brand]]\nname = "a"\nany = ["quovira"]\nsources = ["news"]\n')
    for source, matches in (("", 1), ("news", 1), ("push", 0)):
        told = Preview(brands, lambda *_: "id", source)
        told.see("quovira", None, NOON_MS)
        assert [matches] == [one.matches for one in told.told().brands]


def test_only_a_rule_with_languages_asks_for_one() -> None:
    """The detector is not loaded for nothing."""
    asked: list[str] = []

    def judge(text: str, _: str | None) -> str:
        asked.append(text)
        return "id"

    told = Preview(Brands.parse(RULES), judge)
    told.see("kopi lumora", None, NOON_MS)
    told.see("quovira", None, NOON_MS)
    assert 2 == told.told().named
    assert ["quovira"] == asked


# Files.

ROWS = [{"id": str(at), "text": text, "created_at": str(NOON_MS + at * 60_000)} for at, text in enumerate(
    ["Kopi Lumora enak", "quovira tidak bisa menyala sejak kemarin pagi", "apa saja", "lampu lumora kala senja"] * 5)]


def jsonl(folder: Path) -> Path:
    """The rows, and three that are no posts."""
    path = folder / "posts.jsonl"
    lines = [*map(json.dumps, ROWS), "no json", '{"id": "1", "removed": true}', '{"text": "no time"}']
    path.write_text("\n".join(lines), "utf-8")
    return path


def table(folder: Path) -> Path:
    """The rows as a table, with columns of other names."""
    path = folder / "posts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("body", "when"), *((row["text"], row["created_at"]) for row in ROWS)])
    return path


def parquet(folder: Path) -> Path:
    """The rows in columns."""
    import pyarrow
    from pyarrow import parquet

    path = folder / "posts.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    """With the language found by its text."""
    outcomes = [try_file(Brands.parse(RULES), Wish(path, mapping))
                for path, mapping in ((jsonl(tmp_path), ""), (table(tmp_path), "text=body,created_at=when"),
                                      (parquet(tmp_path), ""))]
    assert [5, 5, 0] == [one.matches for one in outcomes[0].told.brands]
    assert outcomes[0].told == outcomes[1].told == outcomes[2].told


def test_rows_that_are_no_posts_are_counted_by_reason(tmp_path: Path) -> None:
    """And removals are neither."""
    rows = try_file(Brands.parse(RULES), Wish(jsonl(tmp_path))).rows
    assert (23, 20, 1, {"not_json": 1, "missing_field": 1}) == (rows.rows, rows.posts, rows.removals, rows.bad)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(BadSetting, match="no column"):
        try_file(Brands.parse(RULES), Wish(table(tmp_path)))
    with pytest.raises(BadSetting, match="expected a name that ends in"):
        try_file(Brands.parse(RULES), Wish(tmp_path / "posts.txt"))


def test_what_is_printed_says_it_all(tmp_path: Path) -> None:
    """Counts, rates, examples, what is borderline, and brands that are named together."""
    said: list[str] = []
    show(try_file(Brands.parse(RULES), Wish(jsonl(tmp_path))), said.append)
    text = "\n".join(said)
    for part in ("23 rows: 20 posts, 1 removals, 2 bad", "1 bad: not_json", "posts of 0.3 h", "10 (50.0%) name a brand",
                 "kopi-lumora (Kopi Lumora): 5 posts, 25.0%; 15.8 an hour (", "    Kopi Lumora enak",
                 "borderline: 5 kept out by none", 'kept out by none "lampu lumora"', "sagarma: 0 posts, 0.0%"):
        assert part in text
    assert "named together" not in text


def test_machines_get_numbers_and_no_text(tmp_path: Path) -> None:
    """The same numbers."""
    said = as_json(try_file(Brands.parse(RULES), Wish(jsonl(tmp_path))))
    got = json.loads(said)
    assert (23, 20, 10, 5) == (got["rows"], got["posts"], got["named"], got["brands"][0]["matches"])
    assert {"kept_out": 5} == got["brands"][0]["borderline"]
    assert "enak" not in said


@given(st.text())
def test_no_text_moves_the_cursor(text: str) -> None:
    """What is printed is one line, at most as long as asked for, without a control character."""
    row = plain(text, 40)
    assert len(row) <= 40
    assert row.isprintable()


def test_a_text_made_to_hurt_is_shown_plainly(tmp_path: Path) -> None:
    """Escapes of a terminal, a bell, a turned direction, a line of its own; also in the title of a brand."""
    path = tmp_path / "posts.jsonl"
    evil = "\x1b]0;title\x07\x1b[2J\u009b31m senja\u2066\r\n\x08x"
    path.write_text(json.dumps({"text": evil, "created_at": NOON_MS}), "utf-8")
    said: list[str] = []
    brands = Brands.parse(RULES.replace("Kopi Lumora", "Kopi\\u001b[31m Lumora"))
    show(try_file(brands, Wish(path)), said.append)
    assert all(line.isprintable() for one in said for line in one.split("\n"))
    assert any("[2J31m senja x" in one for one in said)


# What only posts and a clock can say of a file.


def demo() -> Brands:
    """The demo's brands."""
    return Brands.parse((files("streams") / "demo" / "brands.toml").read_text("utf-8"))


@pytest.mark.parametrize("phrase", ["serius", "la*", "kopi"])
def test_a_phrase_that_posts_about_anything_hold_is_told(phrase: str) -> None:
    """Whether or not a list of common words has it."""
    findings = check(Brands.parse(HEAD + f'[[brand]]\nname = "a"\nany = ["{phrase}"]\n'))
    assert [Kind.BROAD] == [one.kind for one in findings if one.kind is Kind.BROAD]


def test_invented_posts_name_no_brand_of_the_demo() -> None:
    """So what names them is too broad."""
    assert [] == [one for one in check(demo(), ("en", "id")) if not one.is_note]
    assert tryout.SAMPLE == len(list(tryout.invented())) == len(list(tryout.invented()))
    brands = demo()
    assert [] == [text for _, text in tryout.invented() if brands.match(text, "demo", NOON_MS)]


def test_a_file_whose_brands_have_all_ended_can_be_checked() -> None:
    """Nothing is left to try."""
    ended = HEAD + '[[brand]]\nname = "a"\nany = ["quovira"]\n[[brand]]\nname = "a"\nfrom = 2025-01-01T00:00:00Z\n'
    assert [] == check(Brands.parse(ended))
    assert () == preview(ended, "quovira").brands


def test_the_cost_is_what_the_clock_says() -> None:
    """Phrases are counted once; the time is that of all invented posts."""
    ticks: Iterator[float] = iter([0.0, 0.002, 0.022])
    found = cost(demo(), lambda: next(ticks))
    assert "23 phrases, ready in 2.0 ms, 10.0 us a post" == str(found)


def test_findings_are_printed_warnings_first(tmp_path: Path) -> None:
    """Each on one line, whatever the file holds; the languages are those of the model's card, if it is here."""
    said: list[str] = []
    rules = HEAD + '[[brand]]\nname = "a"\nany = ["#quo\\u001bvira"]\nlanguages = ["fr"]\n'
    show_findings(check(Brands.parse(rules), scored()), said.append)
    assert ["warning", "note"] == [line.split(":")[0] for line in said]
    assert "in which the model abstains" in said[0]
    assert all(line.isprintable() for line in said)
    assert () == scored(str(tmp_path / "nowhere"))


def test_brands_that_no_post_names_are_not_shown_by_the_thousand(tmp_path: Path) -> None:
    """A few, and how many more."""
    rules = HEAD + "".join(f'[[brand]]\nname = "b{at}"\nany = ["qx{at:04}"]\n' for at in range(500))
    said: list[str] = []
    show(try_file(Brands.parse(rules), Wish(jsonl(tmp_path))), said.append)
    assert "\nand 480 more brands that no post names" == said[-1]
    assert 20 == sum(": 0 posts" in line for line in said)


# The commands.


def denyut(*words: object) -> Result:
    """What `denyut` does with these words."""
    return CliRunner(env={"DENYUT_MODEL": ""}).invoke(cli.main, [str(word) for word in words])


def rules_at(folder: Path, toml: str, name: str = "brands.toml") -> Path:
    """A brand file."""
    path = folder / name
    path.write_text(toml, "utf-8")
    return path


def test_a_good_file_is_checked_and_its_cost_told(tmp_path: Path) -> None:
    """Exit code 0, also where a warning is a failure: notes are none."""
    path = rules_at(tmp_path, HEAD + '[[brand]]\nname = "a"\nany = ["quovira q7"]\n')
    ran = denyut("brands", "check", path, "--strict", "--cost", "--text", "beli quovira q7")
    good, note, price, named = ran.stdout.splitlines()
    assert (0, "") == (ran.exit_code, ran.stderr)
    assert (f"{path}: number 1, 1 brands, 1 rules: good", "a") == (good, named)
    assert note.startswith("note: brand a: any holds no hashtag")
    assert price.startswith("1 phrases, ready in ")


def test_a_warning_is_a_failure_only_when_it_shall_be(tmp_path: Path) -> None:
    """It is printed either way."""
    path = rules_at(tmp_path, RULES)
    for words, code in ((), 0), (("--strict",), 1):
        ran = denyut("brands", "check", path, *words)
        assert code == ran.exit_code
        assert 'warning: brand kopi-lumora: any holds "senja", a common word' in ran.stdout


def test_a_file_is_tried_by_its_command(tmp_path: Path) -> None:
    """For people with texts, for machines with numbers alone."""
    path, posts = rules_at(tmp_path, RULES), jsonl(tmp_path)
    ran, machine = denyut("brands", "try", path, posts), denyut("brands", "try", path, posts, "--json")
    assert [(0, ""), (0, "")] == [(one.exit_code, one.stderr) for one in (ran, machine)]
    assert "    Kopi Lumora enak" in ran.stdout
    assert [20, 10, 5] == [json.loads(machine.stdout)[key] for key in ("posts", "named")] + [
        json.loads(machine.stdout)["brands"][0]["matches"]]
    assert not [row["text"] for row in ROWS if row["text"] in machine.stdout]
    assert "enak" not in machine.stdout


def test_what_is_wrong_with_a_brand_file_names_it(tmp_path: Path) -> None:
    """Whichever of the two it is, and whichever command reads it."""
    good, posts = rules_at(tmp_path, RULES), jsonl(tmp_path)
    bad = rules_at(tmp_path, RULES.replace("none =", "non ="), "bad.toml")
    coded = tmp_path / "coded.toml"
    coded.write_bytes(b"\xff\xfe")
    for words, said in (
        (("check", bad), f"{bad}: unknown key 'non'"),
        (("try", bad, posts), f"{bad}: unknown key 'non'"),
        (("check", good, "--against", bad), f"{bad}: unknown key 'non'"),
        (("check", good, "--against", coded), f"{coded}: not UTF-8"),
        (("check", good, "--against", good), f"{good}: number = 1: the running file has 1"),
    ):
        ran = denyut("brands", *words)
        assert (2, "") == (ran.exit_code, ran.stdout)
        assert ran.stderr.startswith(f"denyut: {said}")


@pytest.mark.parametrize("source", ["BAD NAME", "Push", "a" * 33, "push\n"])
def test_a_source_that_cannot_be_is_refused(tmp_path: Path, source: str) -> None:
    """Before every row is bad by it."""
    ran = denyut("brands", "try", rules_at(tmp_path, RULES), jsonl(tmp_path), "--source", source)
    assert (2, "") == (ran.exit_code, ran.stdout)
    assert f"denyut: --source {source!r}: small letters, digits, - and _, at most 32\n" == ran.stderr
