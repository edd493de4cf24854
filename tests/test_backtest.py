"""A history gives what the workers would have said of it: the same figures, the same swings, whatever the file."""

import csv
import gzip
import json
import os
import pty
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import models
from models.lang import Languages
from models.score import Card
from streams import backtest as edge
from streams import plot, rerun
from streams.backtest import Wish, run
from streams.cli import main
from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.frame import Frame, pack
from streams.heart.incident import Step, Swing, decode
from streams.heart.intake import LANGS, Asked, Judged, Limits, Scored
from streams.heart.intake import Record as PostRecord
from streams.heart.post import Post, encode, from_ms, post_key, pseudonym
from streams.heart.tracker import Times
from streams.history import Flawed, Reader, Wanted, happenings, open_history
from streams.moods import Line
from streams.notebook import Notebook
from streams.recount import Mention, Recount, figures
from streams.settings import DEMO_SECRET, Settings
from streams.sources.public import Public
from tests.incidents import swing
from tests.scorers import RuleScorer, rule

T0_MS = 1_577_880_000_000  # 2020-01-01T12:00:00Z
FUTURE_MS = 4_070_908_800_000  # 2099-01-01
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
BRANDS = """
number = 1
published = 2019-12-31T00:00:00Z
[[brand]]
name = "kopi"
any = ["kopi"]
[[brand]]
name = "teh"
title = "Teh Tarik"
any = ["teh"]
"""
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def brands(tmp_path: Path) -> Path:
    """The brand file of all tests."""
    path = tmp_path / "brands.toml"
    path.write_text(BRANDS)
    return path


def write(path: Path, rows: Iterable[Row]) -> Path:
    """The rows as a file of the format that its name says."""
    rows, kind = list(rows), path.name.partition(".")[2]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if kind == "parquet":
        table = pytest.importorskip("pyarrow").Table.from_pylist([{n: row.get(n) for n in names} for row in rows])
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    elif kind.startswith("jsonl"):
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(body) if kind.endswith("gz") else body)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def backtest(posts: Path, *options: object) -> Result:
    """`denyut backtest`, with this folder's brand file."""
    asked = ["backtest", str(posts), "--brands", str(posts.parent / "brands.toml"), *map(str, options)]
    return CliRunner().invoke(main, asked)


def steps_of(posts: Path, *options: object) -> list[Swing]:
    """What it says, as steps."""
    said = backtest(posts, "--json", *options)
    assert said.exit_code == 0, said.output
    return [decode(line.encode()) for line in said.stdout.splitlines()]


def moods_of(posts: Path, *options: object) -> list[Row]:
    """What the windows said."""
    out = posts.parent / "mood.csv"
    said = backtest(posts, "--mood", out, *options)
    assert said.exit_code == 0, said.output
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


# The figures.


def _history(seed: int, rows: int = 400, silence_ms: int = 3 * DAY_MS) -> list[Row]:
    """Posts that bear scores: copies, loud authors, edits, removals, late ones, two brands, a silence of days."""
    rng = random.Random(seed)
    out: list[Row] = []
    arrival = T0_MS
    for number in range(rows):
        arrival += rng.choice([0, 500, 7_000, 40_000, 300_000]) + (silence_ms if number == rows // 2 else 0)
        lag = rng.choice([0, 0, 0, 900, 45_000, 30 * MINUTE_MS, 2 * HOUR_MS, -90_000])
        score = round(rng.uniform(-1, 1), 3)
        row = {"id": f"p{number}", "created_at": arrival - lag, "arrived_at": arrival, "score": score,
               "author": rng.choice([None, "a", "b", f"u{number}"]), "rev": 0,
               "text": rng.choice(["kopi dingin", "teh manis", "kopi dan teh", f"kopi nomor {number}", "air putih"])}
        if rng.random() < 0.1 and out:
            old = rng.choice(out)
            row = {**old, "arrived_at": arrival, "rev": number, "score": score} if "text" in old else row
        out.append(row)
        if rng.random() < 0.05:
            out.append({"id": rng.choice(out)["id"], "removed": True, "arrived_at": arrival})
    return out


def _recounted(rows: Sequence[Row]) -> list[Mention]:
    """The same posts as records of `denyut.posts`, counted the slow way."""
    records: list[PostRecord] = []
    scores: dict[tuple[str, int, int], tuple[int, int]] = {}
    for number, row in enumerate(rows, 1):
        key = post_key("file", row["id"], DEMO_SECRET)
        value = None
        if "text" in row:
            author = row["author"] and pseudonym("file", row["author"], DEMO_SECRET)
            value = encode(Post(id=key, source="file", text=row["text"], created_at=from_ms(row["created_at"]),
                                rev=row["rev"], author=author))
            score = round(row["score"] * 10_000)
            label = 1 + (row["score"] > 1 / 3) - (row["score"] < -1 / 3)
            scores |= {(brand, 0, number): (score, label) for brand in ("kopi", "teh")}
        records.append(PostRecord(0, number, row["arrived_at"], key.encode(), value))
    judge: Callable[[str, str | None], Judged] = lambda *_: Judged("id", True)  # noqa: E731
    return Recount(frozenset({"file"}), Brands.parse(BRANDS), judge, Limits(), scores).mentions(records)


@pytest.mark.parametrize("seed", range(4))
def test_every_reading_is_that_of_the_slow_recount(tmp_path: Path, seed: int) -> None:
    """Of every brand, minute and window: mentions, votes and mood, after all edits, removals and late posts."""
    rows = _history(seed)
    lines = moods_of(write(tmp_path / "posts.jsonl", rows))
    mentions = _recounted(rows)
    assert len({line["time"] for line in lines}) > 100
    for line in lines:
        after = _ms(line["time"]) // 10_000
        want = figures(mentions, after - {"5m": 30, "1h": 360}[line["window"]], after)[line["brand"]]
        votes = sum(want.get(f"{label}_votes", 0) for label in ("negative", "neutral", "positive"))
        said = sum(want.get(label, 0) for label in ("negative", "neutral", "positive"))
        assert (int(line["mentions"]), int(line["votes"])) == (said, votes), line
        assert line["mood"] == (f"{want.get('vote', 0) / votes / 10_000:.6f}" if votes else "")


def _ms(said: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(said).timestamp() * 1000)


def test_a_line_stands_for_every_minute_in_which_a_brand_is_heard_of(tmp_path: Path) -> None:
    """A window that holds a mention has its line, and no other: an hour of them for one post, five for five minutes."""
    rows = [{"brand": "teh", "score": 0.5, "created_at": T0_MS + 30_000}, {"brand": "kopi", "score": 0, "created_at":
                                                                         T0_MS + 3 * HOUR_MS}]
    lines = [line for line in moods_of(write(tmp_path / "posts.jsonl", rows)) if line["brand"] == "teh"]
    assert [sum(line["window"] == window for line in lines) for window in ("5m", "1h")] == [5, 60]
    assert lines[0]["time"] == "2020-01-01T12:01:00Z"
    assert {(line["mentions"], line["mood"]) for line in lines} == {("1", "0.500000")}


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "tsv", "parquet"])
def test_every_format_says_the_same(tmp_path: Path, kind: str) -> None:
    """Numbers may be written as texts, and what a row lacks may be an empty cell."""
    rows = _history(1, 100, silence_ms=0)
    want = moods_of(write(tmp_path / "want.jsonl", rows))
    assert moods_of(write(tmp_path / f"posts.{kind}", rows)) == want


def test_a_mood_file_is_the_same_as_a_table_and_as_parquet(tmp_path: Path) -> None:
    """Six places in the one, all of them in the other; where there is no mood, nothing."""
    parquet = pytest.importorskip("pyarrow.parquet")
    posts = write(tmp_path / "posts.jsonl", _history(2, 100, silence_ms=0))
    assert backtest(posts, "--mood", tmp_path / "mood.parquet").exit_code == 0
    table = parquet.read_table(tmp_path / "mood.parquet")
    for line, row in zip(moods_of(posts), table.to_pylist(), strict=True):
        assert _ms(line["time"]) == int(row["time"].timestamp() * 1000)
        assert (line["brand"], line["window"], int(line["votes"])) == (row["brand"], row["window"], row["votes"])
        assert line["lower"] == ("" if row["lower"] is None else f"{row['lower']:.6f}")


# The rows.


@pytest.mark.parametrize(("row", "why"), [
    ({"created_at": None}, "missing_field: created_at"),
    ({"created_at": "2020-01-01"}, "bad_time: no time zone: write +07:00 (WIB)"),
    ({"created_at": "yesterday"}, "bad_time: neither"), ({"created_at": 12}, "bad_time: out of range"),
    ({"arrived_at": "noon"}, "bad_time: neither"), ({"created_at": T0_MS - 1}, "out_of_order: its arrived_at"),
    ({"score": "nan"}, "bad_score: "), ({"score": 1.01}, "bad_score: expected"),
    ({"score": "very"}, "bad_score: no number"), ({"score": True}, "bad_score: no number"),
    ({"label": "angry"}, "bad_label: expected one of negative"),
    ({"label": "positive", "score": None}, "bad_label: a label needs its score"),
    ({"created_at": FUTURE_MS}, "future: it is dated after today"), ({"arrived_at": FUTURE_MS}, "future: it is dated"),
    ({"brand": "kopy"}, "unknown_brand: not in the"),
    ({"brand": None, "text": None}, "missing_field: brand, or a text"), ({"source": "x"}, "unknown_source"),
    ({"score": None, "text": None}, "missing_field: text"), ({"score": None, "text": " "}, "bad_text"),
    ({"rev": -1}, "wrong_type: rev"), ({"text": ["secret"]}, "wrong_type: text"), ({"id": {}}, "wrong_type: id"),
    ({"removed": "perhaps"}, "wrong_type: removed"), ({"removed": True, "id": None}, "missing_field: id"),
    ({"tick": {"file": "soon"}}, "bad_tick"), ({"tick": [1]}, "bad_tick"), ({"text": "x" * 10_001}, "too_long"),
    ({"author": "b", "id": "2", "removed": True, "created_at": None}, "missing_field: arrived_at"),
])
def test_a_bad_row_ends_the_run_with_its_number_or_is_counted(tmp_path: Path, row: Row, why: str) -> None:
    """Exit code 2, or every other row counts as if it were not there; nothing of it is quoted."""
    good = {"id": "1", "text": "secret kopi", "created_at": T0_MS, "score": 0.25, "brand": "kopi", "author": "a"}
    after = {**good, "id": "3", "author": "c"}
    posts = write(tmp_path / "posts.jsonl", [good, {**good, "id": "2", **row}, after])
    said = backtest(posts)
    assert said.exit_code == 2
    assert f"row 2: {why}" in said.stderr
    assert "secret" not in said.output
    skipped = backtest(posts, "--on-error", "skip")
    assert (skipped.exit_code, "secret" in skipped.output) == (0, False)
    assert f"1 bad: {why.split(':', maxsplit=1)[0]}; the first is row 2" in skipped.stderr
    assert moods_of(posts, "--on-error", "skip") == moods_of(write(tmp_path / "good.jsonl", [good, after]))


def test_lines_that_are_no_rows_are_counted_too(tmp_path: Path) -> None:
    """Each with its reason; the first row of each is named."""
    posts = tmp_path / "posts.jsonl"
    good = json.dumps({"brand": "kopi", "score": 0, "created_at": T0_MS})
    posts.write_bytes(b'{"te\n[1]\n"\xff"\n{"tex\n' + good.encode())
    said = backtest(posts, "--on-error", "skip").stderr
    assert "5 rows: 1 mentions that came with a score" in said
    assert "4 bad" in said
    assert "2 bad: not_json; the first is row 1" in said


@pytest.mark.parametrize(("kind", "rows", "options", "why"), [
    ("csv", {"brand": "kopi", "created_at": 1}, (), "no column for text and none for score"),
    ("csv", {"text": "kopi", "time": 1}, (), "no column 'created_at'"),
    ("csv", {"text": "kopi", "created_at": 1}, ("--map", "score=mood"), "no column 'mood' for score"),
    ("parquet", {"brand": "kopi", "time": 1}, (), "no column 'created_at'"),
    ("jsonl", {"text": "kopi"}, ("--map", "scor=x"), "did you mean"),
    ("jsonl", {"text": "kopi"}, ("--map", "score=a,score=b"), "each field once"),
    ("jsonl", {"text": "kopi"}, ("--map", "author=source"), "source is read from the column 'source' too"),
    ("jsonl", {"text": "kopi"}, ("--map", "author=a,lang=a"), "lang is read from the column 'a' too"),
    ("jsonl", {"text": "kopi"}, ("--source", "fiel"), "DENYUT_SOURCES"),
    ("jsonl", {"text": "kopi"}, ("--mood", "mood.txt"), "ends in .csv or .parquet"),
    ("jsonl", {"text": "kopi"}, ("--plot", "mood.pdf"), "ends in .png"), ("txt", {}, (), "ends in .jsonl"),
])
def test_what_cannot_work_is_said_before_it_is_tried(
    tmp_path: Path, kind: str, rows: Row, options: Sequence[str], why: str
) -> None:
    """Each with its own sentence and exit code 2."""
    said = backtest(write(tmp_path / f"posts.{kind}", [rows]), *options)
    assert (said.exit_code, why in said.stderr) == (2, True), said.output


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    """Also those that only a history has."""
    rows = [{"zeit": T0_MS, "marke": "kopi", "wert": -0.5}, {"zeit": T0_MS, "marke": "teh", "wert": 0.5}]
    named = "created_at=zeit, brand=marke, score=wert"
    for kind in ("jsonl", "csv", "parquet"):
        lines = moods_of(write(tmp_path / f"posts.{kind}", rows), "--map", named)
        assert {(line["brand"], line["mood"]) for line in lines} == {("kopi", "-0.500000"), ("teh", "0.500000")}


def _read(tmp_path: Path, *rows: Row) -> list[Any]:
    posts = write(tmp_path / "read.jsonl", rows)
    wanted = Wanted("file", frozenset({"file", "demo"}), frozenset({"kopi"}), DEMO_SECRET)
    with closing(open_history(posts, {})) as read:
        return list(happenings(posts, read, Reader({}, wanted)))


def test_ids_are_hidden_as_the_feed_hides_them_unless_they_are_already(tmp_path: Path) -> None:
    """A file that was recorded from the wire gives the posts of the wire."""
    row = {"created_at": T0_MS, "brand": "kopi", "score": 0.1, "author": "budi"}
    key = post_key("demo", "42", DEMO_SECRET)
    native, wired = _read(tmp_path, {**row, "id": 42}, {**row, "id": key, "source": "demo"})
    assert (native.id, native.author) == (post_key("file", "42", DEMO_SECRET), pseudonym("file", "budi", DEMO_SECRET))
    assert (wired.id, wired.author) == (key, "budi")


def test_what_the_demo_recorded_is_what_it_sent(tmp_path: Path, scorer: RuleScorer) -> None:
    """Ticks, edits and removals included: the figures are those of the records, counted again the slow way."""
    records, judge = [], Languages(scorer.card)
    with Notebook(tmp_path / "posts.jsonl", "demo") as notebook:
        public = Public(seed=1, rate_per_s=20.0, start_ms=T0_MS, speed=240.0)
        for number, happening in enumerate(islice(public, 800)):
            if number % 50 == 0:
                notebook.tick("demo", happening.at_ms)
            notebook.send(happening)
            records.append(PostRecord(0, number, happening.at_ms, happening.key, happening.value))
    (tmp_path / "brands.toml").write_text((files("streams") / "demo" / "brands.toml").read_text())
    lines = moods_of(tmp_path / "posts.jsonl", "--on-error", "skip")

    class Unscored(dict[tuple[str, int, int], tuple[int, int]]):
        def __missing__(self, _: object) -> tuple[int, int]:
            return 0, 1

    def known(text: str, declared: str | None) -> Judged:
        verdict = judge.judge(text, declared)
        return Judged(verdict.lang, verdict.known)

    brands = Brands.parse((tmp_path / "brands.toml").read_text())
    mentions = Recount(frozenset({"demo"}), brands, known, Limits(), Unscored()).mentions(records)
    last = [line for line in lines if line["window"] == "1h"][-1]
    after = _ms(last["time"]) // 10_000
    assert {line["brand"]: (int(line["mentions"]), int(line["votes"])) for line in lines
            if line["time"] == last["time"] and line["window"] == "1h"} == {
        brand: (sum(want.get(label, 0) for label in ("negative", "neutral", "positive", "abstained")),
                sum(want.get(f"{label}_votes", 0) for label in ("negative", "neutral", "positive")))
        for brand, want in figures(mentions, after - 360, after).items()}


def test_rows_without_id_and_text_are_as_many_posts_as_they_are_rows(tmp_path: Path) -> None:
    """Nothing else tells two scores of one moment apart."""
    row = {"created_at": T0_MS, "brand": "kopi", "score": 0.1}
    one, other = _read(tmp_path, row, row)
    assert one.id != other.id


@pytest.mark.parametrize(("row", "label"), [
    ({"score": 0.34}, 2), ({"score": 0.33}, 1), ({"score": -0.34}, 0), ({"score": 0.9, "label": "Negative"}, 0),
    ({"label": "abstained"}, 3),
])
def test_a_label_is_what_the_file_says_or_a_third_of_the_scale(tmp_path: Path, row: Row, label: int) -> None:
    """What abstained has no mood, and needs no model."""
    assert [one.label for one in _read(tmp_path, {"created_at": T0_MS, "brand": "kopi", **row})] == [label]


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text())
_characters = st.characters(codec=None) | st.just("\udc80")
_words = st.integers() | st.text(_characters, max_size=8)
_names = ("id", "text", "created_at", "author", "rev", "removed", "score", "label", "brand", "arrived_at", "source",
          "tick", "feed", "kind", "lang")


@given(st.dictionaries(st.sampled_from(_names), _values))
def test_no_row_stops_the_reading(row: Row) -> None:
    """Any types in any column: something that happened, or a reason."""
    _gone_through(row)


@given(st.fixed_dictionaries(
    {"created_at": st.integers(T0_MS, T0_MS + 1_000), "text": st.text(_characters, min_size=1) | st.just("kopi enak"),
     "score": st.none() | st.floats(-1, 1)},
    optional={"id": _words, "author": _words, "lang": _words, "kind": _words, "rev": st.integers(0), "brand":
              st.just("kopi"), "label": st.sampled_from(["positive", "abstained"])}))
def test_what_is_nearly_a_post_stops_nothing(row: Row) -> None:
    """Whatever stands in its texts, lone surrogates included: it is refused, or it can be counted."""
    _gone_through(row)


def _gone_through(row: Row) -> None:
    """The row, as it is read and as it is counted."""
    class Rows:
        share = 0.0

        def __iter__(self) -> Any:
            return iter([(1, row)])

        def close(self) -> None: ...

    wanted = Wanted("file", frozenset({"file"}), frozenset({"kopi"}), DEMO_SECRET)
    one, = happenings(Path("x"), Rows(), Reader({}, wanted))
    if not isinstance(one, Flawed):
        rules = rerun.Rules(Brands.parse(BRANDS), frozenset({"file"}), Limits())
        tally = rerun.Tally(Path("x"))
        assert not list(rerun.Rerun(rules, Times(), _Calm(), tally).play([one]))
        assert tally.rows == 1


class _Calm:
    """Who finds every text neutral, and every language known."""

    name = "calm"

    def judge(self, _: str, declared: str | None) -> Judged:
        """Known."""
        return Judged(declared or "id", True)

    def language(self, _: str, declared: str | None) -> str:
        """What is declared."""
        return declared or "id"

    def ask(self, texts: Sequence[Asked]) -> list[Scored | None]:
        """Neutral, once for each text."""
        return [Scored(0.0, 1) for asked in texts if asked.text.encode()]


# The swings.


def _swing(seed: int = 1, hours: int = 9, each_min: int = 12) -> list[Row]:
    """One brand whose mood falls for an hour and a half, for a reason that is in the texts; and one that is calm."""
    rng = random.Random(seed)
    out = []
    begin, end = T0_MS + (hours - 2) * HOUR_MS, T0_MS + hours * HOUR_MS - 30 * MINUTE_MS
    for number in range(hours * 60 * each_min):
        at = T0_MS + number * MINUTE_MS // each_min
        brand = "kopi" if number % 2 else "teh"
        is_sad = rng.random() < (0.75 if brand == "kopi" and begin <= at < end else 0.3)
        cause = "refund" if is_sad and begin <= at < end and rng.random() < 0.7 else "hari"
        words = " ".join(rng.choices(["enak", "panas", "pagi", "meja", "kursi", "ramai", "antre", "sore"], k=4))
        score = (-0.7 if is_sad else 0.4) + rng.uniform(-0.2, 0.2)
        out.append({"id": number, "created_at": at, "author": f"u{rng.randrange(5000)}", "score": score,
                    "text": f"{brand} {cause} {words} {number}"})
    return out


@pytest.fixture(scope="module")
def planted() -> list[Row]:
    """One swing, known."""
    return _swing()


def test_a_planted_swing_is_found_and_explained(tmp_path: Path, planted: list[Row]) -> None:
    """Once, of its brand and direction, soon, with the word that is behind it; and no other."""
    steps = steps_of(write(tmp_path / "posts.jsonl", planted))
    mood = [step for step in steps if step.series == "mood"]
    assert {(step.brand, step.direction) for step in mood} == {("kopi", "down")}
    assert [step.state for step in mood[:2]] == [Step.OPENED, Step.EXPLAINED]
    assert abs(mood[0].onset_ms - (T0_MS + 7 * HOUR_MS)) <= 15 * MINUTE_MS
    assert "refund" in [term.term for term in mood[1].terms]
    assert mood[1].exemplars
    table = backtest(tmp_path / "posts.jsonl")
    assert re.search(r"2020-01-01 (18|19):\d\d.*kopi.*▼ mood", table.stdout)
    assert "1 swing of mood" in table.stderr


def test_how_rows_are_grouped_changes_no_step(
    tmp_path: Path, planted: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settled every minute or every half hour, a swing is the same; only its terms are of what is still there."""
    posts = write(tmp_path / "posts.jsonl", planted)
    runs = []
    for group_ms in (MINUTE_MS, 30 * MINUTE_MS):
        monkeypatch.setattr(rerun, "GROUP_MS", group_ms)
        runs.append([step for step in steps_of(posts) if step.state is not Step.EXPLAINED])
    assert runs[0] == runs[1]
    assert runs[0]


def test_scores_without_texts_will_do(tmp_path: Path, planted: list[Row]) -> None:
    """The brand is named by its row; what cannot be read is not explained."""
    bare = [{name: row[name] for name in ("id", "created_at", "author", "score")} | {"brand": row["text"].split()[0]}
            for row in planted]
    steps = steps_of(write(tmp_path / "posts.parquet", bare))
    assert next(step.state for step in steps if step.series == "mood") is Step.OPENED
    assert Step.EXPLAINED not in {step.state for step in steps}


def test_a_history_in_every_language_keeps_to_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two languages in each group, 676 in all: a tracker has one byte for them, and no two share a number."""
    seen: set[str] = set()

    def packed(frame: Frame) -> bytes:
        seen.update(frame.names.lang)
        return pack(frame)

    monkeypatch.setattr(rerun, "pack", packed)
    codes = [one + other for one in ascii_lowercase for other in ascii_lowercase]
    rows = [{"id": n, "created_at": T0_MS + n * 200_000, "brand": "kopi", "score": 0.5, "lang": code}
            for n, code in enumerate([*codes, "en-GB"])]
    assert backtest(write(tmp_path / "posts.jsonl", rows)).exit_code == 0
    assert seen == {code for code in codes if code in LANGS} | {"und"}


# The model.


def _texts(rows: int = 400) -> list[Row]:
    rng = random.Random(3)
    texts = [f"{rng.choice(['kopi', 'teh', 'air'])} {''.join(rng.choices('aexyz ', k=30))} pagi ini enak sekali"
             for _ in range(rows)]
    return [{"id": n, "created_at": T0_MS + 9_000 * n, "author": f"u{n % 90}", "text": text}
            for n, text in enumerate(texts)]


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> RuleScorer:
    """A scorer by a rule one can see, in the place of the model."""
    scorer = RuleScorer()
    monkeypatch.setattr(models, "load", lambda *_, **__: scorer)
    return scorer


@pytest.mark.parametrize("brand", [None, "kopi"])
def test_what_the_model_scores_counts_as_if_it_had_been_scored(
    tmp_path: Path, scorer: RuleScorer, brand: str | None
) -> None:
    """With its brand given or looked for: the figures are those of a file that bears the same scores."""
    rows = [{**row, "brand": brand} for row in _texts()]
    want = moods_of(write(tmp_path / "scored.jsonl", [
        {**row, "score": rule(row["text"]).score, "label": rule(row["text"]).label} for row in rows]))
    assert not scorer.calls
    assert moods_of(write(tmp_path / "posts.jsonl", rows)) == want
    assert scorer.calls


def test_a_text_on_which_the_model_fails_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run with its number, or is counted; the texts beside it are scored."""
    bad = RuleScorer(lambda texts: ValueError("x") if any("kopi 7 " in text for text in texts) else None)
    monkeypatch.setattr(models, "load", lambda *_, **__: bad)
    rows = [{"id": n, "created_at": T0_MS + n, "text": f"kopi {n} pagi ini enak sekali"} for n in range(20)]
    posts = write(tmp_path / "posts.jsonl", rows)
    assert "row 8: the model fails on this text" in backtest(posts).stderr
    said = backtest(posts, "--on-error", "skip").stderr
    assert "20 rows: 0 mentions that came with a score, 19 scored by rule@" in said
    assert "1 bad: poison; the first is row 8" in said


def test_a_failure_is_recorded_as_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on passes by the texts that the first one passed by, and asks for none of them."""
    rows = [{"id": n, "created_at": T0_MS + n, "text": f"kopi {n} pagi ini enak sekali"} for n in range(20)]
    posts, options = write(tmp_path / "posts.jsonl", rows), ("--on-error", "skip", "--resume", tmp_path / "state")
    bad = RuleScorer(lambda texts: ValueError("x") if any("kopi 7 " in text for text in texts) else None)
    monkeypatch.setattr(models, "load", lambda *_, **__: bad)
    want = backtest(posts, *options).stderr
    assert "1 bad: poison" in want
    well = RuleScorer()
    monkeypatch.setattr(models, "load", lambda *_, **__: well)
    assert backtest(posts, *options).stderr.partition("Z")[2] == want.partition("Z")[2]
    assert not well.calls


def test_a_dead_model_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run; once the model is well again, the run goes on."""
    posts, state = write(tmp_path / "posts.jsonl", _texts()), tmp_path / "state"
    dead = RuleScorer(lambda _: ValueError("x"))
    monkeypatch.setattr(models, "load", lambda *_, **__: dead)
    said = backtest(posts, "--resume", state)
    assert (said.exit_code, "the model fails on every text" in said.stderr) == (2, True)
    monkeypatch.setattr(models, "load", lambda *_, **__: RuleScorer())
    assert backtest(posts, "--resume", state).exit_code == 0


class _Killed(BaseException):
    """What no part of the run catches."""


def _outcome(posts: Path, *options: object) -> tuple[str, bytes]:
    """All that a run puts out."""
    said = backtest(posts, "--json", "--mood", posts.parent / "mood.csv", *options)
    assert said.exit_code == 0, said.output
    return said.stdout, (posts.parent / "mood.csv").read_bytes()


def test_a_run_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: list[Row]
) -> None:
    """Whatever a kill left of its record: the output is that of a run that was never killed, nothing is asked twice."""
    rows = [{name: value for name, value in row.items() if name != "score"} for row in planted[::4]]
    posts, state = write(tmp_path / "posts.jsonl", rows), tmp_path / "state"
    whole = RuleScorer()
    monkeypatch.setattr(models, "load", lambda *_, **__: whole)
    want = _outcome(posts)
    calls = len(whole.calls)

    def die(_: Sequence[str]) -> None:
        if len(killed.calls) > calls // 2:
            raise _Killed

    killed = RuleScorer(die)
    monkeypatch.setattr(models, "load", lambda *_, **__: killed)
    with pytest.raises(_Killed):
        run(replace(Settings(), brands=str(tmp_path / "brands.toml")), Wish(posts, resume=state))
    left = state.read_bytes()
    for torn in (0, 1, 100):
        state.write_bytes(left[:len(left) - torn])
        resumed = RuleScorer()
        monkeypatch.setattr(models, "load", lambda *_, resumed=resumed, **__: resumed)
        assert _outcome(posts, "--resume", state) == want
        assert resumed.calls == whole.calls[len(killed.calls) - 1 - bool(torn):]
        again = RuleScorer()
        monkeypatch.setattr(models, "load", lambda *_, again=again, **__: again)
        assert _outcome(posts, "--resume", state) == want
        assert not again.calls


def test_a_record_of_something_else_is_refused(tmp_path: Path, scorer: RuleScorer) -> None:
    """Scores of other posts or of another model would be wrong figures in silence."""
    posts, state = write(tmp_path / "posts.jsonl", _texts()), tmp_path / "state"
    assert backtest(posts, "--resume", state).exit_code == 0
    other = backtest(write(tmp_path / "other.jsonl", _texts()[40:]), "--resume", state)
    assert (other.exit_code, "written for other posts" in other.stderr) == (2, True)
    scorer.card = Card(name="another", languages=("id", "en"))
    assert "of another model" in backtest(posts, "--resume", state).stderr
    state.write_text("no such thing")
    assert "no file of recorded scores" in backtest(posts, "--resume", state).stderr


# What it tells.


def test_steps_go_where_they_are_sent_while_the_bar_lives(tmp_path: Path, planted: list[Row]) -> None:
    """Standard error is a terminal and standard output a file, as with `> out.jsonl`: every step is in the file."""
    posts = write(tmp_path / "posts.jsonl", planted)
    ours, theirs = pty.openpty()
    with (tmp_path / "out.jsonl").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "backtest", str(posts), "--json", "--brands",
             str(tmp_path / "brands.toml")], stdout=out, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    with suppress(OSError), open(ours, "rb", buffering=0) as terminal:
        while some := terminal.read(4096):
            shown += some
    assert process.wait() == 0
    assert b"posts.jsonl" in shown
    assert [decode(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()] == steps_of(posts)


@pytest.mark.parametrize("options", [
    ("--mood", "posts.csv"), ("--resume", "posts.csv"), ("--resume", "brands.toml"), ("--mood", "./x/../posts.csv"),
    ("--mood", "a.csv", "--resume", "a.csv")])
def test_no_file_is_written_over(tmp_path: Path, options: Sequence[str]) -> None:
    """What is read and what is written are different files, whatever they are called."""
    (tmp_path / "x").mkdir()
    posts = write(tmp_path / "posts.csv", [{"brand": "kopi", "score": 0, "created_at": T0_MS}])
    before = posts.read_bytes()
    said = backtest(posts, *(one if one.startswith("--") else tmp_path / one for one in options))
    assert (said.exit_code, f"{options[-2]} " in said.stderr, "it would overwrite" in said.stderr) == (2, True, True)
    assert posts.read_bytes() == before
    assert (tmp_path / "brands.toml").read_text() == BRANDS


def test_a_row_of_the_future_leaves_the_others_in_order(tmp_path: Path) -> None:
    """One wrong clock is one bad row."""
    row = {"brand": "kopi", "score": 0.5}
    times = (T0_MS, FUTURE_MS, T0_MS + 1_000)
    posts = write(tmp_path / "posts.jsonl", [{**row, "created_at": at} for at in times])
    said = backtest(posts, "--on-error", "skip").stderr
    assert ("2 mentions that came with a score" in said, "1 bad\n" in said) == (True, True)


def test_what_became_of_the_rows_is_told(tmp_path: Path) -> None:
    """Repeats, edits and removals, each by its count; of the model nothing where it was not asked."""
    row = {"brand": "kopi", "score": 0.5, "created_at": T0_MS, "id": "1"}
    rows = [row, row, {**row, "rev": 1}, {"id": "1", "removed": True, "arrived_at": T0_MS + 1}]
    said = backtest(write(tmp_path / "posts.jsonl", rows)).stderr
    assert "4 rows: 3 mentions that came with a score, 1 removals" in said
    assert "scored by" not in said
    assert sum(int(count) for count in re.findall(r"(\d+) (?:duplicates|superseded|removed)", said)) == 3, said


def test_why_there_is_no_swing_is_told(tmp_path: Path, planted: list[Row]) -> None:
    """How many brands were known well enough; that no row is about any; and a column that no row had."""
    said = backtest(write(tmp_path / "short.jsonl", planted[:100])).stderr
    assert "0 of 2 brands were known well enough to see a swing: that takes 360 minutes with a vote in each" in said
    assert "2 of 2 brands were known well enough" in backtest(write(tmp_path / "long.jsonl", planted)).stderr
    air = write(tmp_path / "air.jsonl", [{"text": "air", "score": 0.5, "created_at": T0_MS}])
    said = backtest(air, "--map", "author=who").stderr
    assert f"no row is about a brand of {tmp_path / 'brands.toml'}" in said
    assert "no row has the column who, which --map names" in said


def test_a_coordinated_swing_is_called_copies() -> None:
    """As on the board; it counts apart from swings of mood, as one that was withdrawn does."""
    copied = swing(authenticity="coordinated", severity=3)
    assert edge.row(copied, "Kopi")[3] == "≡ copies, severe"
    found = [copied, swing(), swing(state=Step.WITHDRAWN), swing(series="volume")]
    assert edge._swings(found) == "1 swing of mood, 1 coordinated, 1 withdrawn, 1 of volume"


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    """Whatever could not be written, and nothing half is left."""
    pytest.importorskip("matplotlib")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no full disk at hand")
    posts = write(tmp_path / "posts.jsonl", [{"brand": "kopi", "score": 0, "created_at": T0_MS}])
    for option, name in (("--mood", "mood.csv"), ("--plot", "mood.png")):
        (tmp_path / f"{name}.part").symlink_to(full)
        said = backtest(posts, option, tmp_path / name)
        assert (said.exit_code, f"{option} {tmp_path / name}: No space left" in said.stderr) == (2, True), said.stderr
        assert not (tmp_path / name).exists()


def test_an_empty_record_is_a_new_one(tmp_path: Path, scorer: RuleScorer) -> None:
    """As a kill right after its beginning leaves it."""
    posts, state = write(tmp_path / "posts.jsonl", _texts(20)), tmp_path / "state"
    for left in (b"", b"DYS"):
        state.write_bytes(left)
        assert backtest(posts, "--resume", state).exit_code == 0
        asked = len(scorer.calls)
        assert backtest(posts, "--resume", state).exit_code == 0
        assert len(scorer.calls) == asked


# The picture.


def test_a_picture_is_drawn_of_every_brand(tmp_path: Path, planted: list[Row]) -> None:
    """A PNG, larger than an empty one."""
    pytest.importorskip("matplotlib")
    posts = write(tmp_path / "posts.jsonl", planted)
    assert backtest(posts, "--plot", tmp_path / "mood.png").exit_code == 0
    picture = (tmp_path / "mood.png").read_bytes()
    assert (picture[:8], len(picture) > 20_000) == (b"\x89PNG\r\n\x1a\n", True)


def test_a_long_history_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more points than there is room for, of all brands at the same minutes."""
    from streams.heart.window import reading

    monkeypatch.setattr(plot, "POINTS", 10)
    curves = plot.Curves()
    for minute in range(100):
        for brand in ("kopi", "teh")[:1 + minute % 2]:
            curves.take(Line(minute * MINUTE_MS, reading(brand, "1h", [0, 1] + [0] * 13, [0] * 15, (None, 1.0))))
    assert {len(points) <= 10 for points in curves.of.values()} == {True}
    assert all(point.end_ms // MINUTE_MS % curves.stride == 0 for points in curves.of.values() for point in points)


def test_without_its_extra_a_picture_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the history is read, not after it."""
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    with pytest.raises(BadSetting, match=r"denyut\[plot\]"):
        plot.check(tmp_path / "mood.png")


def test_a_picture_that_has_no_place_is_refused_at_once(tmp_path: Path) -> None:
    """Before the history is read, not after it."""
    pytest.importorskip("matplotlib")
    with pytest.raises(BadSetting, match=r"--plot .* is no folder"):
        plot.check(tmp_path / "nowhere" / "mood.png")


def test_a_picture_holds_every_mood() -> None:
    """The few widest intervals may be cut, and moods that are known to no better than half the scale; no other may."""
    curves = plot.Curves()
    curves.of["kopi"] = [plot._Point(minute, 0.1, 0.0, 0.2, 9) for minute in range(99)]
    assert plot._reach(curves) == 0.25
    curves.of["kopi"].append(plot._Point(99, 0.1, -0.9, 0.9, 1))
    assert plot._reach(curves) == 0.25
    curves.of["teh"] = [plot._Point(99, -0.6, -1.0, 0.1, 1)]
    assert plot._reach(curves) == 0.25
    curves.of["teh"].append(plot._Point(100, -0.4, -0.6, -0.2, 30))
    assert plot._reach(curves) == 0.5


def test_a_mood_file_is_whole_or_it_is_not_there(tmp_path: Path) -> None:
    """What was there before a run that fails is still there after it."""
    (tmp_path / "mood.csv").write_text("old")
    posts = write(tmp_path / "posts.jsonl", [{"brand": "kopi", "score": 0, "created_at": T0_MS}, {"x": 1}])
    assert backtest(posts, "--mood", tmp_path / "mood.csv").exit_code == 2
    assert [path.name for path in tmp_path.glob("mood*")] == ["mood.csv"]
    assert (tmp_path / "mood.csv").read_text() == "old"
