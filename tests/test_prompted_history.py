"""Prompted talk over history: a file says it as the wire does, and the mood file shows it beside all talk."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.moods import COLUMNS

T0_MS = 1_577_880_000_000  # 2020-01-01T12:00:00Z
BRANDS = """
number = 1
published = 2019-12-31T00:00:00Z
[[brand]]
name = "kopi"
any = ["kopi"]
own.tags = ["#kopihemat"]
[[brand]]
name = "teh"
any = ["teh"]
"""
Row = dict[str, Any]


def hour_of(posts: Path) -> dict[str, Row]:
    """Brand -> the last line of its hour, of `denyut backtest` over these posts."""
    brands, out = posts.parent / "brands.toml", posts.parent / "mood.csv"
    brands.write_text(BRANDS)
    said = CliRunner().invoke(main, ["backtest", str(posts), "--brands", str(brands), "--mood", str(out)])
    assert said.exit_code == 0, said.output
    with out.open(newline="") as file:
        return {line["brand"]: line for line in csv.DictReader(file) if line["window"] == "1h"}


def table(path: Path, rows: Iterable[Row]) -> Path:
    """The rows as a table."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def lines(path: Path, rows: Iterable[Row]) -> Path:
    """The rows as JSON, a list where a table has a cell."""
    told = ({**row, "prompted": row["prompted"].split()} for row in rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    return path


@pytest.mark.parametrize("write", [table, lines])
def test_a_history_says_whose_hand_is_in_a_post(tmp_path: Path, write: Any) -> None:
    """By name, of a row that names its brand and of one that is matched; or by the tag in its text."""
    said = [("kopi dan teh", "", 0.5, "kopi"), ("kopi dan teh", "", -0.5, ""), ("teh #kopihemat", "", 0.9, ""),
            ("kopi #kopihemat dan teh", "", -0.1, ""), ("kopi", "kopi", 0.8, "teh"), ("kopi", "kopi", 0.6, "kopi teh")]
    rows = [{"id": at, "author": at, "created_at": T0_MS + 1000 * at, "text": f"{text} nomor {at}", "brand": brand,
             "score": score, "prompted": prompted} for at, (text, brand, score, prompted) in enumerate(said)]
    for row in rows:
        row["brand"] = row["brand"] or None
    suffix = "csv" if write is table else "jsonl"
    hour = hour_of(write(tmp_path / f"posts.{suffix}", rows))
    assert list(hour["kopi"]) == list(COLUMNS)
    counts = {brand: (line["votes"], line["prompted"], line["unprompted_votes"]) for brand, line in hour.items()}
    assert counts == {"kopi": ("5", "3", "2"), "teh": ("4", "0", "4")}
    assert (hour["kopi"]["mood"], hour["kopi"]["unprompted"]) == ("0.260000", "0.150000")
    alone = (hour["teh"][name] for name in ("unprompted", "unprompted_lower", "unprompted_upper"))
    assert tuple(alone) == (hour["teh"]["mood"], hour["teh"]["lower"], hour["teh"]["upper"])


def test_where_everything_is_prompted_the_unprompted_mood_is_empty(tmp_path: Path) -> None:
    """No cell says 0 where nobody has said anything."""
    row = {"created_at": T0_MS, "text": "", "brand": "kopi", "score": 0.5, "prompted": "kopi, teh"}
    line = hour_of(table(tmp_path / "posts.csv", [row]))["kopi"]
    assert (line["mood"], line["prompted"], line["unprompted_votes"]) == ("0.500000", "1", "0")
    assert (line["unprompted"], line["unprompted_lower"], line["unprompted_upper"]) == ("", "", "")


def test_a_hand_that_is_no_name_is_a_bad_row(tmp_path: Path) -> None:
    """The run ends with its number and its field, and nothing of it is quoted."""
    (tmp_path / "brands.toml").write_text(BRANDS)
    posts = tmp_path / "posts.jsonl"
    posts.write_text(json.dumps({"created_at": T0_MS, "brand": "kopi", "score": 0.5, "prompted": ["kopi", 7]}))
    said = CliRunner().invoke(main, ["backtest", str(posts), "--brands", str(tmp_path / "brands.toml")])
    assert (said.exit_code, "row 1: wrong_type: prompted" in said.stderr) == (2, True), said.output
