"""The card of the embedded model: what it promises, as the recipe measured it (`make evaluate` measures it anew)."""

import pytest

from models.registry import EMBEDDED, card_of
from models.report import Report, family, report_of

CARD, REPORT = card_of(EMBEDDED, ""), report_of(EMBEDDED)
SETS = ("tweeteval-en", "smsa-id", "nusax-id")


def variant(report: Report, name: str) -> dict[str, float]:
    (found,) = [one for one in report.variants if one.name == name]
    assert found.ratio is not None
    return found.figures | {"ratio": found.ratio}


def test_every_language_that_is_scored_was_measured() -> None:
    """It is named for its own figure, and every language that has one is judged in public."""
    assert set(CARD.languages) == {lang for lang, one in REPORT.languages.items() if one.named}
    assert {"id", "en"} <= set(CARD.languages)
    assert {lang for lang in REPORT.languages if family(lang) == "other"} >= {"ar", "de", "hi"}


def test_the_default_is_nearly_as_good_as_all_layers_at_a_fraction_of_their_cost() -> None:
    """At most a point below twelve layers on each set, two and a half times as fast, in one run."""
    shipped, whole = variant(REPORT, "shipped"), variant(REPORT, "12 layers")
    assert shipped["ratio"] >= 2.5
    assert [] == [name for name in SETS if shipped[name] < whole[name] - 1.0]


def test_eight_bits_cost_little() -> None:
    """Less than 0.7 points against float32 on each set."""
    (floats,) = [one for one in REPORT.variants if one.name.startswith("exits") and one.name.endswith("fp32")]
    shipped = variant(REPORT, "shipped")
    assert [] == [name for name in SETS if shipped[name] < floats.figures[name] - 0.7]


@pytest.mark.parametrize("name", SETS)
def test_the_class_mix_moves_no_recall(name: str) -> None:
    """Half neutral, two thirds negative, level: macro recall within a point and a half (it is one, by construction)."""
    for mix in REPORT.mixes.get(name, {}).values():
        assert mix.recall.value == pytest.approx(REPORT.cells[name].recall.value, abs=1.5)


def test_neither_score_nor_exit_depends_on_company() -> None:
    """Fixed scales: a text scored alone is scored as among others."""
    assert REPORT.batch is not None
    assert REPORT.batch.largest <= 0.001
    assert REPORT.batch.other_labels == 0
    assert REPORT.batch.exit_flips == 0


def test_the_card_says_how_it_was_made_and_where_it_is_weak() -> None:
    """Command, hours, machine, seeds, terms and weaknesses."""
    making = REPORT.making
    assert making is not None
    assert making.command.startswith("python -m models.recipes.make")
    assert making.hours
    assert making.hardware
    assert len(making.seeds) >= 2
    assert CARD.licence
    assert CARD.data
    assert len(REPORT.weaknesses) >= 3
    assert sum(one.cases for one in REPORT.behaviour.values()) >= 300
