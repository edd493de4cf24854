"""Choose: temperatures and the threshold of the early exit, on answers that one can see through."""

import numpy as np
import pytest

from models.quality import Claims, Judged
from models.recipes.choose import (
    SLACK,
    Answers,
    Choice,
    crossed,
    expected,
    fitted,
    shares,
    temperature,
)

SETS = np.array(["tweeteval-en", "smsa-id", "nusax-id", "nusax-jv"])
OF = np.array(["en", "id", "id", "jv"])
NAMED = frozenset(OF.tolist())


def public(rows: int, seed: int, *heats: float, hard: float = 0.3) -> Answers:
    """Rows whose labels follow the late exit, told `heats` times too surely; some are hard for the early one."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 2, (rows, 3))
    powers = np.exp(honest)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in powers])
    is_hard = rng.random(rows) < hard
    early = np.where(is_hard[:, None], rng.normal(0, 0.3, (rows, 3)), honest)
    sets = np.arange(rows) % len(SETS)
    return Answers(np.stack([early * heats[0], honest * heats[-1]]), labels, SETS[sets], OF[sets])


def test_a_temperature_undoes_what_was_said_too_surely() -> None:
    """Logits that are twice too large are halved."""
    said = public(6_000, 1, 1.0, 2.0)
    assert temperature(said.logits[1], said.labels) == pytest.approx(2.0, abs=0.12)


def test_the_threshold_is_the_cheapest_that_loses_next_to_nothing() -> None:
    """It and all dearer ones lose no more than the slack against all going on; the next cheaper one does."""
    said = public(4_000, 2, 1.0, 1.0)
    everyone = np.ones(len(said.labels), bool)
    choice = fitted(said, everyone, NAMED)

    def loss(threshold: float) -> float:
        return expected(said, everyone, Choice(choice.temperatures, threshold, {}))

    allowed = loss(2.0) + SLACK
    assert loss(choice.threshold - 0.01) > allowed
    assert all(loss(float(dearer)) <= allowed for dearer in np.arange(choice.threshold, 1.0, 0.01))
    _, goes_on = choice.served(said)
    assert 0.2 < goes_on.mean() < 0.9


def test_where_the_late_half_adds_nothing_no_text_goes_on() -> None:
    """Of two halves that say the same, the first is enough."""
    choice = fitted(public(2_000, 3, 1.0, 1.0, hard=0.0), np.ones(2_000, bool), NAMED)
    assert choice.threshold == pytest.approx(0.34)


def test_families_are_warmed_apart() -> None:
    """A family that is too sure is cooled, and the others are left."""
    said = public(9_000, 4, 1.0, 1.0, hard=0.0)
    said.logits[:, said.langs == "jv"] *= 1.8
    choice = fitted(said, np.ones(9_000, bool), NAMED)
    assert choice.warmth["jv"] / choice.warmth["en"] == pytest.approx(1.8, abs=0.25)
    assert set(choice.warmth) == NAMED


def test_a_fit_is_judged_on_rows_that_it_has_not_seen() -> None:
    """Honest answers keep their calibration when each half is served by the other half's fit."""
    said = public(6_000, 5, 1.0, 1.5)
    halves = np.random.default_rng(1).random(6_000) < 0.5
    plain = shares(said.logits[1], 1.0)
    before = Claims.of_labels(Judged(said.labels.astype(np.int8), plain.argmax(-1).astype(np.int8), plain)).error()
    assert before is not None
    assert crossed(said, halves, NAMED) < 0.03 < before


def test_languages_that_have_not_earned_it_are_left_out() -> None:
    """What is said at random in a language neither names it nor touches the temperatures of the others."""
    said = public(9_000, 7, 1.0, 1.0, hard=0.0)
    want = fitted(said, said.langs != "jv", NAMED - {"jv"})
    rng = np.random.default_rng(8)
    said.labels[said.langs == "jv"] = rng.integers(0, 3, (said.langs == "jv").sum())
    assert "jv" not in said.named()
    assert fitted(said, np.ones(9_000, bool), NAMED - {"jv"}) == want
