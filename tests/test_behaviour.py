"""The behavioural suite: what the embedded model cannot do may not grow, and the suite itself is sound."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

import models
from models.recipes.behaviour import MOVE, TOLERANCE, Case, Direction, Invariance, Minimum, Tally, judge, read, table
from models.score import LABELS, Card, Label, Score
from tests.scorers import RuleScorer

RATCHET = Path(__file__).parent / "behaviour_ratchet.json"
# Nobody's, and those of invented brands.
HANDLES = {"@user", "@user2", "@lajuro", "@quovira", "@banksagarma"}
HOSTS = {"example.com", "contoh.example"}


class Told:
    """Says what it was told to say of a text, and of any other that it is neutral."""

    def __init__(self, said: dict[str, Score], warmth: dict[str, float] | None = None) -> None:
        self.card = Card(name="told", warmth=warmth or {})
        self.calls = 0
        self._said = said

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score a text."""
        self.calls += 1
        return [self._said.get(text, mood(0)) for text in texts]


def mood(score: float) -> Score:
    """Of two classes, the first or the last of them neutral."""
    return Score(max(-score, 0.0), 1 - abs(score), max(score, 0.0))


def minimum(text: str, want: Label, lang: Literal["id", "mixed"] = "id") -> Minimum:
    return Minimum(capability="said", lang=lang, text=text, want=want)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return read()


@pytest.fixture(scope="module")
def allowed() -> dict[str, int]:
    found: dict[str, int] = json.loads(RATCHET.read_text())
    return found


def test_no_capability_gets_worse(cases: list[Case], allowed: dict[str, int]) -> None:
    """Better weights come with a lower ratchet (`python -m models.recipes.behaviour --write-ratchet FILE`)."""
    tallies, failures = judge(models.load(), cases)
    worse = {capability for capability, tally in tallies.items() if tally.failed > allowed.get(capability, 0)}
    assert [] == [f"{one.case.capability}: {one.fault}" for one in failures if one.case.capability in worse]
    slack = {name: allowed[name] - tally.failed for name, tally in tallies.items() if allowed[name] - tally.failed > 1}
    assert not slack, "a ratchet that is loose holds nothing back: write it anew"


def test_the_ratchet_speaks_of_the_capabilities_that_there_are(cases: list[Case], allowed: dict[str, int]) -> None:
    """Under an old name it would hold nothing back."""
    assert list(allowed) == list(dict.fromkeys(case.capability for case in cases))


def test_the_suite_is_wide_enough(cases: list[Case]) -> None:
    """Each capability has enough cases for a rate, and each that is no language of its own is asked for in both."""
    assert len(cases) >= 300
    assert min(Counter(case.capability for case in cases).values()) >= 15
    assert Counter(case.lang for case in cases)["mixed"] >= 50
    for capability in {case.capability for case in cases} - {"regional", "mixed language"}:
        assert {"id", "en"} <= {case.lang for case in cases if case.capability == capability}, capability


def test_a_model_with_one_answer_fails(cases: list[Case]) -> None:
    """Every class is asked for often enough, and a direction between opposites needs a move."""
    for label, score in zip(LABELS, (mood(-1), mood(0), mood(1)), strict=True):
        stuck = Told({text: score for case in cases for text in case.texts})
        failed = [one.case for one in judge(stuck, cases)[1]]
        assert len(failed) > len(cases) / 3
        assert not [case for case in failed if isinstance(case, Minimum) and case.want == label]
        assert [case for case in failed if isinstance(case, Direction)]


def test_a_model_that_counts_letters_fails(cases: list[Case]) -> None:
    """It knows no word, and is moved by what should move nobody."""
    tallies, _ = judge(RuleScorer(), cases)
    assert [] == [capability for capability, tally in tallies.items() if tally.failed == 0]
    for capability in ("vocabulary", "negation", "neutral", "sarcasm", "noise", "spelling"):
        assert tallies[capability].failed > tallies[capability].cases / 3, capability


def test_nobody_real_is_named_by_handle_or_link(cases: list[Case]) -> None:
    """The sentences are our own, and whom they speak of is made up."""
    texts = "\n".join(text for case in cases for text in case.texts)
    assert set(re.findall(r"@\w+", texts)) <= HANDLES
    assert set(re.findall(r"https?://([^/\s]+)", texts)) <= HOSTS


def test_a_minimum_is_a_label() -> None:
    """However sure the model is of it."""
    case = minimum("bagus", "positive")
    assert case.fault([Score(0.3, 0.3, 0.4)]) == ""
    assert case.fault([mood(0.4)]) == "wanted positive: bagus (neutral +0.40)"


@pytest.mark.parametrize(("first", "last", "held"), [
    (0.75, 0.75, True),
    (0.75, 0.75 + MOVE, True),
    (1.0, 1.0 - MOVE, True),
    (1.0, 0.99 - MOVE, False),
    (0.55, 0.45, False),  # a small move, to another label
    (-0.75, 0.75, False),
])
def test_an_invariance_is_the_same_label_and_nearly_the_same_score(first: float, last: float, held: bool) -> None:
    """Of every text, against the first."""
    case = Invariance(capability="said", lang="id", text="a", also=("b", "c"))
    assert held == (case.fault([mood(first), mood(first), mood(last)]) == "")
    assert held == (case.fault([mood(first), mood(last), mood(first)]) == "")


@pytest.mark.parametrize(("want", "by", "risen", "held"), [
    ("rises", 0.0, 0.5, True),
    ("rises", 0.0, 0.0, True),
    ("rises", 0.0, -TOLERANCE, True),
    ("rises", 0.0, -TOLERANCE - 0.01, False),
    ("falls", 0.0, TOLERANCE, True),
    ("falls", 0.0, TOLERANCE + 0.01, False),
    ("rises", 0.5, 0.41, True),
    ("rises", 0.5, 0.39, False),
    ("falls", 0.5, -0.41, True),
    ("falls", 0.5, 0.0, False),
])
def test_a_direction_has_a_tolerance(want: Literal["rises", "falls"], by: float, risen: float, held: bool) -> None:
    """What is hardly a move is none; between opposites there must be one."""
    case = Direction(capability="said", lang="id", text="a", also="b", want=want, by=by)
    assert held == (case.fault([mood(0), mood(risen)]) == "")


def test_everything_is_scored_at_once_and_counted_by_capability() -> None:
    """Each case gets the scores of its own texts."""
    some: list[Case] = [
        minimum("bagus", "positive"),
        Invariance(capability="names", lang="id", text="a", also=("b", "c")),
        minimum("buruk", "negative"),
        Direction(capability="names", lang="en", text="d", also="e", want="rises"),
    ]
    told = Told({"bagus": mood(1), "buruk": mood(1), "e": mood(1)})
    tallies, failures = judge(told, some)
    assert {"said": Tally(2, 1), "names": Tally(2, 0)} == tallies
    assert [some[2]] == [one.case for one in failures]
    assert 1 == told.calls
    lines = [line.split() for line in table(some, tallies, failures).splitlines()]
    assert ["said", "2", "0", "0", "2", "1", "50%"] in lines
    assert ["in", "en", "0", "0", "1", "1", "0", "0%"] in lines
    assert ["all", "2", "1", "1", "4", "1", "25%"] == lines[-1]


def test_scores_are_warmed_by_their_language() -> None:
    """As the score agent does it, for which a mixed post is an Indonesian one."""
    told = Told({"a": Score(0.1, 0.1, 0.8), "b": Score(0.1, 0.1, 0.8)}, warmth={"id": 2.0})
    _, failures = judge(told, [minimum("a", "neutral"), minimum("b", "neutral", "mixed")])
    assert ["wanted neutral: a (positive +0.38)", "wanted neutral: b (positive +0.38)"] == [f.fault for f in failures]


GOOD = '{"capability": "x", "kind": "mft", "lang": "id", "text": "a", "want": "positive"}'


@pytest.mark.parametrize("bad", [
    "",
    "no",
    "[1]",
    '{"capability": "x", "kind": "mft", "lang": "id", "text": "b"}',
    '{"capability": "x", "kind": "mft", "lang": "id", "text": "b", "want": "good"}',
    '{"capability": "x", "kind": "mft", "lang": "id", "text": "b", "want": "neutral", "also": ["c"]}',
    '{"capability": "x", "kind": "mft", "lang": "de", "text": "b", "want": "neutral"}',
    '{"capability": "", "kind": "mft", "lang": "id", "text": "b", "want": "neutral"}',
    '{"capability": "x", "kind": "xyz", "lang": "id", "text": "b", "want": "neutral"}',
    '{"capability": "x", "lang": "id", "text": "b", "want": "neutral"}',
    '{"capability": "x", "kind": "inv", "lang": "id", "text": "b", "also": []}',
    '{"capability": "x", "kind": "inv", "lang": "id", "text": "b", "also": ["c", "a"]}',
    '{"capability": "x", "kind": "dir", "lang": "id", "text": "b", "also": "b", "want": "rises"}',
    '{"capability": "x", "kind": "dir", "lang": "id", "text": "b", "also": "c", "want": "rises", "by": 1.5}',
    GOOD,
])
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    """No case is passed over, and none counts twice."""
    path = tmp_path / "cases.jsonl"
    path.write_text(f"{GOOD}\n{bad}\n")
    with pytest.raises(ValueError, match=r"cases\.jsonl, line 2: ."):
        read(path)


def test_bytes_that_are_no_text_are_named_too(tmp_path: Path) -> None:
    """A file saved in another encoding."""
    path = tmp_path / "cases.jsonl"
    path.write_bytes(GOOD.replace('"a"', '"\xe9"').encode("latin-1"))
    with pytest.raises(ValueError, match=r"cases\.jsonl, line 1: ."):
        read(path)
