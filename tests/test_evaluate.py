"""The recipe that measures: through a real command, abstentions counted as wrong, into a card and its page."""

import gzip
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import models
from models import page
from models.quality import Judged
from models.recipes import evaluate
from models.recipes.data import Row
from models.recipes.evaluate import (
    answers,
    batch,
    by_source,
    carded,
    full_report,
    languages,
    pick_languages,
    served,
    ungated,
    written,
)
from models.registry import EMBEDDED
from models.report import FLOOR, Batch, Cell, Report, report_of
from models.score import LABELS, Card, Score
from tests.scorers import RuleScorer, rule

# `denyut score --json` in small: the same lines in and out, with a scorer that one can see through.
COMMAND = shlex.join([sys.executable, "-c", """
import sys
from models.cli_score import score_lines
from tests.scorers import RuleScorer
score_lines(sys.stdin, sys.stdout, RuleScorer(), json_lines=True)
""", "--"])

ROWS = (("id", "positive", "aaa saya makan mangga yang matang"), ("id", "neutral", "kursi itu di sini"),
        ("id", "negative", "eeee mereka tetap terlewat"), ("en", "negative", "eee we feel the sheep sleep"),
        ("de", "negative", "der hund schläft heute in dem kleinen garten"))


def rows(*texts: tuple[str, str, str]) -> list[Row]:
    return [Row("said", lang, text, LABELS.index(label), two_class=False) for lang, label, text in texts]


def test_rows_are_judged_through_the_command_in_their_declared_language() -> None:
    """What users get is what is measured: a pipe, JSON lines, and the language gate."""
    asked = rows(ROWS[0], ROWS[3], ROWS[4])
    said = answers(COMMAND, asked)
    assert [answer["label"] for answer in said] == ["positive", "negative", None]
    report = full_report(Report(), served(asked, said), ["en", "id"])
    assert list(report.cells) == ["said-de", "said-en", "said-id"]
    assert [one.abstained for one in report.cells.values()] == [1, 0, 0]
    assert [one.f1.value for one in report.cells.values()] == [0, 100, 100]
    assert set(report.reliability) == {"en", "id", "all"}, "nothing is said of languages that are not named"


def test_a_command_that_fails_gives_no_figures() -> None:
    """Half an answer is no measurement."""
    with pytest.raises(subprocess.CalledProcessError):
        answers(shlex.join([sys.executable, "-c", "raise SystemExit(1)"]), rows(("id", "positive", "bagus")))


def test_without_the_gate_every_text_is_scored() -> None:
    """That is what decides which languages a card may name."""
    bare, going_on = ungated(RuleScorer(), rows(*ROWS))
    assert list(bare) == ["said-de", "said-en", "said-id"]
    assert all((one.said < len(LABELS)).all() for one in bare.values())
    assert going_on == {}


def judged(right: int, of: int, labels: int = 3) -> Judged:
    """`of` rows of each label, `right` of them said as they are, the others as the next one."""
    expected = [label for label in range(labels) for _ in range(of)]
    said = [label if at < right else (label + 1) % labels for label in range(labels) for at in range(of)]
    return Judged.of(expected, [Score(*(float(one == label) for label in range(3))) for one in said])


def test_a_language_earns_its_name() -> None:
    """Three classes and a macro F1 whose whole interval reaches the floor, over all rows of the language."""
    assert FLOOR == 65
    found = languages({"a-id": judged(90, 100), "b-id": judged(30, 50), "a-de": judged(64, 100),
                       "a-en": judged(75, 100), "a-su": judged(21, 30), "a-jv": judged(10, 10, labels=2)})
    assert list(found) == ["id", "de", "en", "su", "jv"], "those of most rows first"
    assert found["id"].f1.value == 80
    assert pick_languages(Report(languages=found)) == ("id", "en")
    assert found["jv"].why == "no row is positive"
    assert found["su"].f1.value == 70, "which may be luck"


class EarlyScorer(RuleScorer):
    """Answers half of the texts late; alone, another half: the fault that is to be found."""

    def __init__(self, effort: str) -> None:
        super().__init__()
        self.asked_late = 0
        self._effort = effort

    def score(self, texts: Sequence[str]) -> list[Score]:
        late = [self._effort != "fast" and (len(text) % 2 == 0) == (len(texts) > 1) for text in texts]
        self.asked_late += sum(late)
        return [Score(0.0, 0.5, 0.5) if goes_on else rule(text) for text, goes_on in zip(texts, late, strict=True)]


def test_the_choice_of_exit_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that goes on among others and not alone is a flip, and moves its score."""
    monkeypatch.setattr(models, "load", lambda _, effort: EarlyScorer(effort))
    found = batch("", ["eee", "aaaa", "eeeee", "aaaaaa"], "balanced")
    assert found.exit_flips == 100
    assert found.largest > 0
    monkeypatch.setattr(models, "load", lambda _, **__: RuleScorer())
    assert batch("", ["eee", "aaaa"], "balanced") == Batch(texts=2, mean=0, p95=0, largest=0, other_labels=0)


def test_what_others_wrote_stays() -> None:
    """Variants, making and weaknesses come from elsewhere; a card's own word goes before what is said about it."""
    about = {"name": "template", "licence": "L", "report": {"weaknesses": ["irony"]}}
    before = {"making": {"hours": 2.0}, "cells": {"old": 1}}
    card = carded({"name": "mine", "languages": ["id"], "report": before}, about)
    assert (card["name"], card["licence"]) == ("mine", "L")
    cell = full_report(Report(), served(rows(*ROWS[:3]), answers(COMMAND, rows(*ROWS[:3]))), ["id"]).cells
    out = written(card, Report(cells=cell, batch=Batch(texts=1, mean=0, p95=0, largest=0.5, other_labels=2)))
    assert out["report"]["weaknesses"] == ["irony"]
    assert out["report"]["making"] == {"hours": 2.0}
    assert list(out["report"]["cells"]) == ["said-id"]
    assert out["figures"] == {"said-id, macro recall": 100.0, "said-id, macro F1": 100.0}
    assert out["batch_move"]["largest"] == 0.5
    assert msgspec.convert(out, Card).figures == out["figures"]


def data(folder: Path) -> Path:
    """A data folder of a few dev rows."""
    with gzip.open(folder / "labelled.jsonl.gz", "wt") as file:
        for lang, label, text in ROWS * 3:
            row = {"source": "said", "lang": lang, "split": "dev", "label": label, "text": text}
            file.write(json.dumps(row) + "\n")
    return folder


def test_one_command_fills_the_card_and_renders_the_page(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured, told, written: the card that was made can be read again, and the page is the card's."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({"name": "mine", "report": {"weaknesses": ["irony"]}}))
    (folder / "model.onnx").write_bytes(b"x" * 20_000)
    monkeypatch.setattr(models, "load", lambda _, **__: RuleScorer())
    evaluate.main(["--data", str(data(tmp_path)), "--model", str(folder), "--command", COMMAND, "--write"])
    said: dict[str, Any] = json.loads((folder / "card.json").read_text())
    report = report_of(folder)
    assert said["languages"] == ["id"], "of the others not every class is there"
    assert isinstance(report.cells["said-id"], Cell)
    assert report.cells["said-id"].rows == 9
    assert report.weaknesses == ["irony"]
    assert report.sizes == {"model.onnx": 0.02}
    assert sum(one.cases for one in report.behaviour.values()) >= 300
    assert (folder / "README.md").read_text() == page.rendered(said)
    printed = capsys.readouterr().out
    assert "said-id" in printed
    assert "behaviour, failed" in printed


def test_only_a_folder_with_a_card_is_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before hours of measuring, not after."""
    with pytest.raises(SystemExit):
        evaluate.main(["--data", str(tmp_path), "--model", str(tmp_path / "none"), "--write"])
    assert "card.json" in capsys.readouterr().err


EMBEDDED_REPORT = report_of(EMBEDDED)


@pytest.mark.skipif(not EMBEDDED_REPORT.reliability, reason="the embedded card has no report yet")
def test_what_the_embedded_model_says_can_be_believed() -> None:
    """Over all dev rows it scores: a label's probability within 3 points, a score within 3 percent of its span of 2."""
    found = EMBEDDED_REPORT.reliability["all"]
    assert found.label_error is not None
    assert found.score_error is not None
    assert found.label_error <= 0.03
    assert found.score_error <= 0.06


def test_sets_are_named_by_source_and_language() -> None:
    """Every row is in one."""
    found = by_source(rows(*ROWS))
    assert sorted(at for places in found.values() for at in places) == list(range(len(ROWS)))
    assert found["said-id"] == [0, 1, 2]
