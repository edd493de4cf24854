"""The recipes that measure: figures as published, through a real command, abstentions counted as wrong."""

import shlex
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.recipes.data import Row
from models.recipes.evaluate import answers, by_source, quality
from models.score import LABELS

# `denyut score --json` in small: the same lines in and out, with a scorer that one can see through.
COMMAND = shlex.join([sys.executable, "-c", """
import sys
from models.cli_score import score_lines
from tests.scorers import RuleScorer
score_lines(sys.stdin, sys.stdout, RuleScorer(), json_lines=True)
"""])

LABEL = st.sampled_from(LABELS)


def rows(*texts: tuple[str, str, str]) -> list[Row]:
    return [Row("said", lang, text, LABELS.index(label), two_class=False) for lang, label, text in texts]


@given(st.lists(st.tuples(LABEL, st.one_of(LABEL, st.none())), min_size=1, max_size=40))
def test_quality_equals_the_textbook(pairs: list[tuple[str, str | None]]) -> None:
    """Recall and F1 from the table of confusion, class by class."""
    table = Counter(pairs)
    recalls, f1s = [], []
    for label in LABELS:
        truly = sum(n for (expected, _), n in table.items() if expected == label)
        said = sum(n for (_, got), n in table.items() if got == label)
        if truly:
            recall, precision = table[label, label] / truly, table[label, label] / said if said else 0.0
            recalls.append(recall)
            f1s.append(2 * recall * precision / (recall + precision) if recall + precision else 0.0)
    found = quality([expected for expected, _ in pairs], [got for _, got in pairs])
    assert pytest.approx(100 * sum(recalls) / len(recalls)) == found.recall
    assert pytest.approx(100 * sum(f1s) / len(f1s)) == found.f1


def test_an_abstention_is_wrong() -> None:
    """A gate that lets nothing pass is no way to good figures."""
    found = quality(["negative", "positive"], [None, None])
    assert (2, 0.0, 0.0) == (found.abstained, found.recall, found.f1)


def test_rows_are_judged_through_the_command_in_their_declared_language() -> None:
    """What users get is what is measured: a pipe, JSON lines, and the language gate."""
    asked = rows(("id", "positive", "aaa saya makan mangga yang matang"),
                 ("en", "negative", "eee we feel the sheep sleep"),
                 ("de", "negative", "der hund schläft heute in dem kleinen garten"))
    said = answers(COMMAND, asked)
    assert ["positive", "negative", None] == [answer["label"] for answer in said]
    found = by_source(asked, said)
    assert ["said-de", "said-en", "said-id"] == list(found)
    assert [1, 0, 0] == [one.abstained for one in found.values()]
    assert [0.0, 100.0, 100.0] == [one.f1 for one in found.values()]


def test_a_command_that_fails_gives_no_figures() -> None:
    """Half an answer is no measurement."""
    with pytest.raises(subprocess.CalledProcessError):
        answers(shlex.join([sys.executable, "-c", "raise SystemExit(1)"]), rows(("id", "positive", "bagus")))
