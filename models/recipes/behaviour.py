"""Behaviour: what a model can do, capability by capability, on sentences that were written for it.

    python -m models.recipes.behaviour [--model NAME] [--failures] [--write-ratchet FILE]

In the manner of CheckList (Ribeiro et al. 2020). `behaviour.jsonl` holds one case a line, with capability and language:

    mft  a minimum: `text` has the label `want`
    inv  an invariance: each of `also` has the label of `text`, and a score at most MOVE from its score
    dir  a direction: from `text` to `also` the score `want` rises or falls: it goes the other way by TOLERANCE at most;
         with `by`, between opposites, it goes the right way by that much, less TOLERANCE

The cases were written before a model had read them, and are no sample of what people post: a rate of failures tells
where a model is weak, not how often it is wrong. Every text is scored, whatever the language gate would say of it.
Knows nothing of training or of the data folder.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

import models
from models.score import Label, NoModel, Score, Scorer, warmed

CASES = Path(__file__).with_suffix(".jsonl")
# An eighth of the scale from -1 to 1. CheckList lets a probability move by 0.1, and a score is the difference of two;
# the label must stand besides.
MOVE = 0.25
TOLERANCE = 0.1  # CheckList's: less is no opinion
# The score agent warms a score by its language, and the language gate takes most mixed posts for Indonesian.
READ_AS = {"mixed": "id"}

Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    capability: Text
    lang: Literal["id", "en", "mixed", "jv", "su", "min"]
    text: Text


class Minimum(_Told, frozen=True, kw_only=True, tag="mft"):
    """A text that anyone would judge the same."""

    want: Label

    @property
    def texts(self) -> tuple[str, ...]:
        """What is to be scored."""
        return (self.text,)

    def fault(self, scores: Sequence[Score]) -> str:
        """What is wrong with the scores of `texts`, in order; empty if nothing is."""
        return "" if scores[0].label == self.want else f"wanted {self.want}: {told(self.texts, scores)}"


class Invariance(_Told, frozen=True, kw_only=True, tag="inv"):
    """Texts that differ in nothing that carries mood."""

    also: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]

    @property
    def texts(self) -> tuple[str, ...]:
        """What is to be scored."""
        return (self.text, *self.also)

    def fault(self, scores: Sequence[Score]) -> str:
        """What is wrong with the scores of `texts`, in order; empty if nothing is."""
        first = scores[0]
        held = all(one.label == first.label and abs(one.score - first.score) <= MOVE for one in scores)
        return "" if held else f"moved: {told(self.texts, scores)}"


class Direction(_Told, frozen=True, kw_only=True, tag="dir"):
    """Two texts, of which anyone could say which is the better."""

    also: Text
    want: Literal["rises", "falls"]
    by: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    @property
    def texts(self) -> tuple[str, ...]:
        """What is to be scored."""
        return (self.text, self.also)

    def fault(self, scores: Sequence[Score]) -> str:
        """What is wrong with the scores of `texts`, in order; empty if nothing is."""
        risen = scores[1].score - scores[0].score
        held = (risen if self.want == "rises" else -risen) >= self.by - TOLERANCE
        return "" if held else f"wanted that it {self.want}: {told(self.texts, scores)}"


Case = Minimum | Invariance | Direction


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one capability: how many cases, and how many of them the model failed."""

    cases: int
    failed: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A case, and what the model made of it."""

    case: Case
    fault: str


def told(texts: Iterable[str], scores: Iterable[Score]) -> str:
    """Texts with what was said of them."""
    return " | ".join(f"{text} ({one.label} {one.score:+.2f})" for text, one in zip(texts, scores, strict=True))


def read(path: Path = CASES) -> list[Case]:
    """The cases of a file. Raises ValueError, naming the line, for one that is no case or tells a text again."""
    cases: list[Case] = []
    seen: set[str] = set()
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            case: Case = msgspec.json.decode(line, type=Case)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        for text in case.texts:
            if text in seen:
                raise ValueError(f"{path}, line {number}: this text stands in the file already: {text}")
            seen.add(text)
        cases.append(case)
    return cases


def judge(scorer: Scorer, cases: Sequence[Case]) -> tuple[dict[str, Tally], list[Failure]]:
    """The tally of each capability, in the order of the cases, and every failure."""
    raw = iter(scorer.score([text for case in cases for text in case.texts]))
    failures = []
    for case in cases:
        warmth = scorer.card.warmth.get(READ_AS.get(case.lang, case.lang), 1.0)
        fault = case.fault([warmed(next(raw), warmth) for _ in case.texts])
        if fault:
            failures.append(Failure(case, fault))
    asked = Counter(case.capability for case in cases)
    failed = Counter(failure.case.capability for failure in failures)
    return {capability: Tally(asked[capability], failed[capability]) for capability in asked}, failures


def table(cases: Sequence[Case], tallies: dict[str, Tally], failures: Sequence[Failure]) -> str:
    """What people read: a line for each capability, for each language, and for all."""
    failed = Counter(failure.case.lang for failure in failures)
    return "\n".join([
        "capability      mft  inv  dir  cases  failed  rate",
        *(_row(capability, [case for case in cases if case.capability == capability], tally.failed)
          for capability, tally in tallies.items()),
        "",
        *(_row(f"in {lang}", [case for case in cases if case.lang == lang], failed[lang])
          for lang in dict.fromkeys(case.lang for case in cases)),
        "",
        _row("all", cases, len(failures)),
    ])


def _row(name: str, cases: Sequence[Case], failed: int) -> str:
    kinds = [sum(isinstance(case, kind) for case in cases) for kind in (Minimum, Invariance, Direction)]
    counts = "".join(f"{kind:>5}" for kind in kinds)
    return f"{name:<14}{counts}  {len(cases):>5}  {failed:>6}  {100 * failed / len(cases):>4.0f}%"


def main() -> None:
    """Prints the table; with --failures, every failure; with --write-ratchet, what tests/test_behaviour.py allows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="", help='"" the embedded one, else a folder or a name on the hub')
    parser.add_argument("--failures", action="store_true", help="show each case that failed")
    parser.add_argument("--write-ratchet", type=Path, metavar="FILE", help="failures by capability, as JSON")
    args = parser.parse_args()
    cases = read()
    try:
        scorer = models.load(args.model)
    except NoModel as error:
        raise SystemExit(str(error)) from error
    tallies, failures = judge(scorer, cases)
    if args.failures:
        for one in failures:
            print(f"{one.case.capability} {one.case.lang}  {one.fault}")
        print()
    print(table(cases, tallies, failures))
    if args.write_ratchet:
        failed = {capability: tally.failed for capability, tally in tallies.items()}
        args.write_ratchet.write_text(json.dumps(failed, indent=1) + "\n")


if __name__ == "__main__":
    main()
