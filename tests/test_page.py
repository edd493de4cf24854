"""The page beside a card says what the card says, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models import page
from models.quality import Bin, Figure
from models.registry import EMBEDDED
from models.report import Batch, Behaviour, Cell, Making, Mix, Reliability, Report, Standing, Variant

CELL = Cell(rows=600, abstained=4, recall=Figure(80.5, 78, 83), f1=Figure(81.25, 79, 84),
            classes={"negative": 90.0, "neutral": 66.6, "positive": 85.0},
            confusion=[[90, 5, 4, 1], [10, 200, 87, 3], [5, 25, 170, 0]], label_error=0.0213, score_error=0.03)
REPORT = Report(
    effort="balanced", cells={"smsa-id": CELL, "umsab-de": CELL}, ungated={"smsa-id": Figure(81.3, 79, 84)},
    languages={"id": Standing(600, Figure(81.3, 79, 84), True, "surely at least 65"),
               "de": Standing(320, Figure(63.2, 58, 68), False, "not surely at least 65")},
    mixes={"smsa-id": {"half neutral": Mix(Figure(80.5, 77, 83), Figure(76.1, 73, 79), 0.04)}},
    reliability={"id": Reliability(596, 0.0213, 0.0347, [Bin(596, 0.8, 0.78)], [Bin(596, 0.1, 0.2)])},
    going_on={"smsa-id": 21.5, "umsab-de": 60.0}, batch=Batch(100, 0.0001, 0.0002, 0.0003, 0.0, exit_flips=1.5),
    behaviour={"negation": Behaviour(40, 10), "emoji": Behaviour(10, 0)},
    variants=[Variant("12 layers", 39.9, 165.0, 1.0, {"smsa-id": 88.6}), Variant("4 | 8 layers", 33.1)],
    making=Making("python -m models.recipes.make --data DATA --out OUT", 6.5, "2 cores", [1, 2], {"serve": "4,8"},
                  {"base": 1.5}),
    weaknesses=["Irony is read literally."], sizes={"model.onnx": 24.5, "late.onnx": 9.1})


def card(**more: Any) -> dict[str, Any]:
    """A card of a made-up model, with its report, as it is read from a file."""
    said: dict[str, Any] = json.loads(msgspec.json.encode({
        "name": "made-up", "revision": "2", "languages": ["id"], "licence": "MIT", "base": "none", "digest": "ab12",
        "late": {"file": "late.onnx", "threshold": 0.83, "temperature": 1.2}, "temperature": 1.1,
        "warmth": {"id": 1.05, "jv": 1.0}, "data": ["SmSA: CC BY-SA 4.0", "no terms known"],
        "calibration_crossed": 0.0177, "report": REPORT} | more))
    return said


@pytest.mark.parametrize("fact", [
    "# made-up", "| licence | MIT |", "`ab12`", "at least 0.83 sure", "1.1 early, 1.2 late", "| id 1.05 |",
    "| SmSA | CC BY-SA 4.0 |", "| no terms known |  |", "| smsa-id | 600 | 4 | 80.5 (78.0-83.0) | 81.2 (79.0-84.0) |",
    "| neutral | 10 | 200 | 87 | 3 |", "| `de` | 320 | 63.2 (58.0-68.0) | no | not surely at least 65 |",
    "| smsa-id | half neutral | 80.5 (77.0-83.0) | 76.1 (73.0-79.0) | 0.040 |", "| id | 596 | 0.021 | 0.035 |",
    "error of the label is 0.018", "smsa-id 21.5 %", "the choice of exit in 1.5 %", "| negation | 40 | 10 | 25 |",
    "| all | 50 | 10 | 20 |", "| 12 layers | 39.9 | 165.0 | 1.0 | 88.6 |",
    "| 4 \\| 8 layers | 33.1 | - | - | - |",
    "- Irony is read literally.", "| hours | 6.5 |", "| seeds | 1, 2 |",
    '`serve` "4,8"', "base 1.5", "`late.onnx` 9.1 MB",
])
def test_every_fact_of_the_card_is_on_the_page(fact: str) -> None:
    """What it is, how good, how sure, how fast, where weak, how made."""
    assert " ".join(fact.split()) in " ".join(page.rendered(card()).split())


def test_a_language_that_is_not_scored_has_no_figures_as_served() -> None:
    """It abstains there: zeros would say something else."""
    assert "umsab-de" not in page.rendered(card())
    assert "umsab-de" in page.rendered(card(languages=[]))


def test_an_old_card_has_a_page_too() -> None:
    """Without a report, of one exit, with nothing but a name."""
    said = page.rendered({"name": "old"})
    assert said.startswith("# old\n")
    assert "| exits | one |" in said
    assert "How good it is" not in said


def test_a_table_is_a_table() -> None:
    """Every line of one has as many cells as its head, whatever the cells hold."""
    for block in re.findall(r"(?:^\|.*\n)+", page.rendered(card()), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_page_is_rendered_beside_its_card(tmp_path: Path) -> None:
    """`python -m models.page FOLDER`."""
    (tmp_path / "card.json").write_text(json.dumps(card()))
    page.main(tmp_path)
    assert (tmp_path / "README.md").read_text() == page.rendered(card())


EMBEDDED_CARD = json.loads((EMBEDDED / "card.json").read_text())


@pytest.mark.skipif("report" not in EMBEDDED_CARD, reason="the embedded card has no report yet")
def test_the_page_of_the_embedded_model_is_its_cards() -> None:
    """`python -m models.page models/pretrained` writes it."""
    assert (EMBEDDED / "README.md").read_text() == page.rendered(EMBEDDED_CARD)
