"""What `denyut score` answers, line for line."""

import io
import json
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from models.cli_score import CHUNK, arrivals, score_lines
from models.score import NoModel, Scorer, warmed
from tests.scorers import RuleScorer, rule

GOOD = "saya suka sekali dengan pelayanan yang cepat dan ramah ini"
GERMAN = "der Service war langsam und niemand hat meine Fragen beantwortet"


@pytest.fixture(scope="module")
def embedded() -> Scorer:
    return models.load()


def answered(lines: Iterable[str], scorer: RuleScorer | None = None) -> list[dict[str, Any]]:
    out = io.StringIO()
    score_lines(lines, out, scorer or RuleScorer(), json_lines=True)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_text_gets_three_probabilities_a_score_a_label_and_a_language() -> None:
    """The whole of an answer."""
    want = rule(GOOD)
    assert answered([json.dumps({"text": GOOD})]) == [{
        "negative": round(want.negative, 6), "neutral": round(want.neutral, 6), "positive": round(want.positive, 6),
        "score": round(want.score, 6), "label": want.label, "lang": "id"}]


def test_an_abstention_has_a_reason_and_no_numbers() -> None:
    """What is not measured is not guessed."""
    assert answered([json.dumps({"text": GERMAN}), json.dumps({"text": GOOD, "lang": "ban"})]) == [
        {"label": None, "reason": "language", "lang": "de"}, {"label": None, "reason": "language", "lang": "ban"}]


@pytest.mark.parametrize("line", [
    "", "nope", "[]", "3", '{"lang": "id"}', '{"text": 3}', '{"text": "a", "lang": 3}', "{"])
def test_a_bad_line_is_answered_in_its_place(line: str) -> None:
    """Order holds, so that answers can be laid beside questions."""
    said = answered([json.dumps({"text": GOOD}), line, json.dumps({"text": GOOD, "lang": None})])
    assert [one["label"] for one in said] == ["positive", None, "positive"]
    assert said[1]["reason"] == "bad_line"


def test_poison_is_answered_in_its_place() -> None:
    """The text on which the model fails costs its neighbours nothing."""
    scorer = RuleScorer(lambda texts: ValueError() if any("zzz" in text for text in texts) else None)
    said = answered([json.dumps({"text": text}) for text in (GOOD, GOOD + " zzz", GOOD)], scorer)
    assert [one.get("reason") for one in said] == [None, "poison", None]


def test_a_dead_model_ends_the_run() -> None:
    """There is nothing to answer with."""
    with pytest.raises(NoModel):
        answered([json.dumps({"text": GOOD})], RuleScorer(lambda _: RuntimeError()))


# Not any letters: texts that differ only in how long a letter is drawn out are one text, and get one answer.
@given(st.lists(st.sampled_from(["", "a", "e", "ae", "a e", "ea", "ae ea"]), max_size=40), st.integers(1, 9))
def test_every_line_has_its_answer(texts: list[str], times: int) -> None:
    """Over several chunks, the n-th answer is the n-th line's."""
    texts = [f"{GOOD} {text}" for text in texts * times]
    assert [one["score"] for one in answered([json.dumps({"text": text}) for text in texts])] == [
        round(rule(text).score, 6) for text in texts]


def test_a_file_is_read_in_chunks(tmp_path: os.PathLike[str]) -> None:
    """Many texts a call, or the model would idle."""
    path = os.path.join(tmp_path, "in")
    with open(path, "w") as file:
        file.writelines(json.dumps({"text": f"{GOOD} {at}", "lang": "id"}) + "\r\n" for at in range(1000))
    scorer = RuleScorer()
    with open(path) as file:
        assert len(answered(file, scorer)) == 1000
    assert max(len(call) for call in scorer.calls) == CHUNK


def test_a_line_costs_as_much_as_it_is_long(tmp_path: Path) -> None:
    """A line of eight times the length takes about eight times as long, however many pieces it comes in."""
    def seconds(megabytes: int) -> float:
        (tmp_path / "in").write_text("a" * (megabytes << 20) + "\nb\r\n\nc")
        taken = []
        for _ in range(3):
            with (tmp_path / "in").open() as file:
                before = time.process_time()
                read = [line for chunk in arrivals(file) for line in chunk]
                taken.append(time.process_time() - before)
            assert [len(line) for line in read] == [megabytes << 20, 1, 0, 1]
        return min(taken)

    assert seconds(24) < 20 * max(seconds(3), 0.001)


def test_a_pipe_is_answered_line_by_line() -> None:
    """Who writes one line and waits for its answer is not left waiting for 255 more."""
    questions, answers = os.pipe(), os.pipe()
    with os.fdopen(questions[0]) as lines, os.fdopen(answers[1], "w") as out, os.fdopen(answers[0]) as heard:
        worker = threading.Thread(target=score_lines, args=(lines, out, RuleScorer(), True))
        worker.start()
        for _ in range(3):
            os.write(questions[1], json.dumps({"text": GOOD}).encode() + b"\n")
            assert json.loads(heard.readline())["label"] == "positive"
        os.write(questions[1], b'{"text": "\xff')
        os.close(questions[1])
        assert json.loads(heard.readline())["reason"] == "bad_line"
        worker.join()


def test_people_get_one_line_a_text() -> None:
    """Mood, language and the text itself."""
    out = io.StringIO()
    score_lines([GOOD + "\n", GERMAN], out, RuleScorer(), json_lines=False)
    first, second = out.getvalue().splitlines()
    assert first.split() == ["positive", f"{rule(GOOD).score:+.2f}", "id", *GOOD.split()]
    assert second.split() == ["-", "(language)", "de", *GERMAN.split()]


@pytest.mark.parametrize("text", [
    "", " ", "\U0001f60d", "https://t.co/a https://t.co/b www.example.org", "bagus " * 10_000, "привет как дела у вас",
    "這家店的咖啡很好喝", "\x00", "bagus\x00sekali", "\ud800", "enak \udc80 sekali", "\u202e\u200b", "@budi #kopi 123"])
@pytest.mark.parametrize("lang", [None, "id", "xx", "\ud800", ""])
def test_bad_input_gets_a_score_or_a_reason(embedded: Scorer, text: str, lang: str | None) -> None:
    """Never an exception, and never silence; in JSON and for people."""
    out = io.StringIO()
    score_lines([json.dumps({"text": text, "lang": lang})], out, embedded, json_lines=True)
    said = json.loads(out.getvalue())
    assert said["reason"] in ("no_words", "unsure", "language") if said["label"] is None else -1 <= said["score"] <= 1
    score_lines([text], out, embedded, json_lines=False)
    assert out.getvalue().encode().endswith(b"\n")


def test_a_line_without_end_is_a_bad_line() -> None:
    """Brackets in brackets exhaust a parser of another kind than bad letters do."""
    deep = "[" * 200_000
    for said in answered([deep, '{"text": ' + deep, '{"text": ' + "9" * 10_000]):
        assert said["reason"] == "bad_line"


def test_people_see_no_control_characters() -> None:
    """A post must not move the cursor of the terminal that it is shown on, nor make two lines of one."""
    out = io.StringIO()
    score_lines([f"\x1b[2J{GOOD}\x00\r\nx\x9b"], out, RuleScorer(), json_lines=False)
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()


def test_a_score_is_warmed_by_its_language() -> None:
    """A card may say that it is too sure of itself in one language; the label stays, the other language too."""
    scorer = RuleScorer()
    scorer.card = msgspec.structs.replace(scorer.card, warmth={"id": 2.0})
    english = "we have a bad feeling about that man and the cat"
    asked = [json.dumps({"text": text, "lang": lang}) for text, lang in ((GOOD, "id"), (english, "en"))]
    warm, plain = answered(asked, scorer)
    want = warmed(rule(GOOD), 2.0)
    assert warm["score"] == round(want.score, 6) != round(rule(GOOD).score, 6)
    assert warm["label"] == rule(GOOD).label
    assert plain["score"] == round(rule(english).score, 6)
