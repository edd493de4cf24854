"""What `denyut model` shows, proves and measures."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models
from models.cli_model import KNOWN, BadFile, Columns, Evaluation, check, evaluated, shown, shown_json, told
from models.registry import EMBEDDED
from models.score import EFFORTS, Card, NoModel, Score
from streams import cli
from tests.scorers import RuleScorer
from tests.test_page import card

GOOD = "saya suka sekali dengan pelayanan yang cepat dan ramah ini"
BAD = "we feel the sheep sleep here every time"
GERMAN = "der Service war langsam und niemand hat meine Fragen beantwortet"
SECRET = "rahasia"


def denyut(*args: str) -> Result:
    return CliRunner(env={"DENYUT_MODEL": ""}).invoke(cli.main, args)


def file(folder: Path, content: str | bytes, name: str = "posts.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def sheet(*rows: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


def measured(path: Path, **columns: Any) -> Evaluation:
    return evaluated(path, Columns(**columns), RuleScorer())


# show


def test_a_card_is_shown_with_all_that_is_known(tmp_path: Path) -> None:
    """Name, licence, data, languages with figures, calibration, speed, exits, weaknesses; the model is not loaded."""
    (tmp_path / "card.json").write_text(json.dumps(card()))
    said = shown(str(tmp_path))
    for fact in ("made-up, revision 2", "MIT", "ab12", "at least 0.83 sure", "81.2 (79.0-84.0)", "0.021", "165.0",
                 "not surely at least 65", "Irony is read literally.", "SmSA: CC BY-SA 4.0", "negation",
                 "exit in 1.5 %"):
        assert fact in said
    assert "umsab-de" not in said


def test_a_card_is_shown_to_programs(tmp_path: Path) -> None:
    """One object, with the report as it stands in the file."""
    (tmp_path / "card.json").write_text(json.dumps(card()))
    said = json.loads(shown_json(str(tmp_path)))
    assert said["name"] == "made-up"
    assert said["report"] == card()["report"]


def test_the_embedded_card_is_shown() -> None:
    """Old or new, with the figures that it has."""
    done = denyut("model", "show")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "macro F1" in done.stdout
    assert json.loads(denyut("model", "show", "--json").stdout)["languages"]


@pytest.mark.parametrize(("content", "says"), [("{", "card.json"), ('{"name": "x", "report": {"sizes": 3}}', "sizes")])
def test_a_card_that_is_none_is_named(tmp_path: Path, content: str, says: str) -> None:
    """Exit 2, and which file."""
    (tmp_path / "card.json").write_text(content)
    done = denyut("model", "show", "--model", str(tmp_path))
    assert done.exit_code == 2
    assert str(tmp_path) in done.stderr
    assert says in done.stderr


# check


def test_the_embedded_model_is_what_its_card_says() -> None:
    """Its checksum, and every answer that is known."""
    done = denyut("model", "check")
    assert done.exit_code == 0, done.output
    first, *answers = done.stdout.splitlines()
    assert "as the card says" in first
    assert len(answers) == len(KNOWN)
    assert all(answer.endswith("good") for answer in answers)


def test_a_damaged_model_does_not_pass(tmp_path: Path) -> None:
    """Exit 2, and the file at fault."""
    folder = shutil.copytree(EMBEDDED, tmp_path / "copy")
    with (folder / "model.onnx").open("r+b") as weights:
        weights.write(b"\xff")
    done = denyut("model", "check", "--model", str(folder))
    assert done.exit_code == 2
    assert str(folder / "model.onnx") in done.stderr


class Stubborn(RuleScorer):
    """Always of one opinion."""

    def __init__(self, score: Score, languages: tuple[str, ...]) -> None:
        super().__init__()
        self.card = Card(name="stubborn", languages=languages)
        self._answer = score

    def score(self, texts: Sequence[str]) -> list[Score]:
        return [self._answer] * len(texts)


def test_a_wrong_answer_is_told_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels in another order than the card's look like this."""
    (tmp_path / "card.json").write_text('{"name": "stubborn"}')
    monkeypatch.setattr(models, "load", lambda _: Stubborn(Score(1, 0, 0), ("en",)))
    out = io.StringIO()
    with pytest.raises(NoModel, match="2 of 3 known answers are wrong"):
        check(str(tmp_path), out)
    assert out.getvalue().count("wrong, expected") == 2


def test_a_model_of_other_languages_has_no_known_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must load and answer; more is not asked."""
    (tmp_path / "card.json").write_text('{"name": "stubborn"}')
    monkeypatch.setattr(models, "load", lambda _: Stubborn(Score(1, 0, 0), ("fr",)))
    out = io.StringIO()
    check(str(tmp_path), out)
    assert "no answer is known" in out.getvalue()


# evaluate


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


@pytest.mark.parametrize(("name", "pack"), [
    ("posts.jsonl", str.encode), ("posts.jsonl.gz", packed), ("posts", str.encode), ("posts.txt", packed)])
def test_json_lines_are_measured_by_language_and_set(tmp_path: Path, name: str, pack: Callable[[str], bytes]) -> None:
    """Labels in either language; an abstention is counted, with its reason, as wrong."""
    content = lines({"text": GOOD, "label": "Positif", "lang": "id", "source": "toko"},
                    {"text": GOOD, "label": "negatif", "lang": "id", "source": "kafe"},
                    {"text": BAD, "label": "NEG"}, {"text": GERMAN, "label": "neutral", "lang": "de", "source": "toko"})
    found = measured(file(tmp_path, pack(content), name))
    assert {lang: (one.rows, one.abstained, one.recall.value) for lang, one in found.languages.items()} == {
        "id": (2, 0, 50), "en": (1, 0, 100), "de": (1, 1, 0)}
    assert set(found.sets) == {"toko-id", "kafe-id", "toko-de"}
    assert (found.rows, found.passed_by, found.abstentions) == (4, {}, {"language": 1})
    assert "counted as wrong: 1 language" in told(found)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_measured_like_json_lines(tmp_path: Path, separator: str, end: str) -> None:
    """With the mark that Excel puts first, either line end, line ends inside quotes, and columns of other names."""
    quoted = '"' + GOOD.replace(" ", end, 1) + '"'
    content = "\ufeff" + end.join([separator.join(row) for row in (
        ("isi", "rasa", "bahasa"), (quoted, "positif", "id"), (BAD, "negatif", ""))]) + end
    found = measured(file(tmp_path, content, "posts.csv"), text="isi", label="rasa", lang="bahasa")
    assert {lang: one.f1.value for lang, one in found.languages.items()} == {"id": 100, "en": 100}
    assert found.passed_by == {}


def test_bad_rows_are_counted_with_their_reason_and_first_line(tmp_path: Path) -> None:
    """Nothing is lost silently, and no text is shown."""
    content = lines({"text": GOOD, "label": "pos"}, {"label": "pos"}, {"text": SECRET}, {"text": SECRET, "label": "5"},
                    {"text": SECRET, "label": 2}, {"text": SECRET, "label": "pos", "lang": 3}, [SECRET]) + "{\n\n"
    found = measured(file(tmp_path, content))
    assert {reason: (one.rows, one.first_line) for reason, one in found.passed_by.items()} == {
        "no_text": (1, 2), "no_label": (1, 3), "unknown_label": (2, 4), "bad_lang": (1, 6), "no_object": (1, 7),
        "not_json": (1, 8), "blank": (1, 9)}
    assert "2 unknown_label, first in line 4" in told(found)
    assert SECRET not in told(found) + msgspec.json.encode(found).decode()


def test_bad_rows_of_csv_are_counted_too(tmp_path: Path) -> None:
    """Too few cells, too many, none, and a quote that nothing closes."""
    content = f"text,label\n{GOOD},pos\n{SECRET}\n\n{SECRET},pos,x\n" + '"' + "x" * 200_000 + f"\n{GOOD},pos\n"
    found = measured(file(tmp_path, content, "posts.csv"))
    assert {reason: one.rows for reason, one in found.passed_by.items()} == {
        "other_width": 2, "blank": 1, "bad_csv": 1}
    assert found.rows == 2


@pytest.mark.parametrize(("content", "name", "says"), [
    ("", "posts.jsonl", "empty"), ("", "posts.csv", "empty"),
    (lines({"text": "x", "label": "?"}), "a.jsonl", "unknown_label"),
    (lines({"body": "x", "mood": "pos"}), "a.jsonl", "no column 'text' and no column 'label'; it has body, mood"),
    (sheet(["text", "mood"], ["x", "pos"]), "a.csv", "no column 'label'; it has text, mood"),
    (packed(lines({"text": "x", "label": "pos"}))[:-9], "a.jsonl", "cannot be read"),
    (b"\x1f\x8bno", "a.csv", "cannot be read"),
])
def test_a_file_of_no_use_is_named(tmp_path: Path, content: str | bytes, name: str, says: str) -> None:
    """What is wrong with it, and what its columns are called."""
    with pytest.raises(BadFile) as raised:
        measured(file(tmp_path, content, name))
    assert says in str(raised.value)
    assert name in str(raised.value)


def test_a_column_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    """`lang` may be missing, but not the one that is named."""
    path = file(tmp_path, lines({"text": GOOD, "label": "pos"}))
    assert measured(path).rows == 1
    with pytest.raises(BadFile, match="no column 'bahasa'"):
        measured(path, lang="bahasa")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.jsonl", "a"]), st.booleans())
def test_no_bytes_break_it(tmp_path: Path, junk: bytes, name: str, zipped: bool) -> None:
    """Whatever a file holds beside a good row, the good row is measured and every other is counted."""
    good = f"text,label\n{GOOD},pos\n" if name == "a.csv" else lines({"text": GOOD, "label": "pos"})
    content = good.encode() + junk
    found = measured(file(tmp_path, gzip.compress(content) if zipped else content, name))
    assert found.rows >= 1
    assert found.languages["id"].rows >= 1


def test_the_command_measures_and_refuses(tmp_path: Path) -> None:
    """A table, JSON, and exit 2 with the file's name."""
    path = file(tmp_path, lines({"text": GOOD, "label": "pos", "lang": "id"}))
    done = denyut("model", "evaluate", str(path))
    assert done.exit_code == 0, done.output
    assert "macro recall" in done.stdout
    said = json.loads(denyut("model", "evaluate", str(path), "--json", "--effort", "exact").stdout)
    assert said["languages"]["id"]["rows"] == 1
    done = denyut("model", "evaluate", str(path), "--label", "mood")
    assert done.exit_code == 2
    assert "no column 'mood'; it has text, label, lang" in done.stderr


def test_efforts_are_those_of_the_models() -> None:
    """The command line has them a second time, so that `--help` need not import them."""
    assert cli.EFFORTS == EFFORTS
    done = denyut("score", "bagus sekali", "--effort", "fast")
    assert done.exit_code == 0, done.output
    assert denyut("score", "x", "--effort", "lazy").exit_code == 2
