"""Evaluate: how good a model is on the dev rows, through the same command that users call.

    python -m models.recipes.evaluate --data DATA [--model NAME] [--command "denyut score --json"] [--write]

Each row goes in with its language declared. The language gate may abstain: an abstention counts as wrong, and their
number is printed. Measures as published: English tweets, the mean recall of the three classes (TweetEval); SmSA and
NusaX, the mean F1. Beside them the F1 without the gate, which tells what languages a card may name, and how far a score
moves with the texts it is batched with. `--write` puts the figures into the embedded model's card.
"""

import argparse
import json
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
from models.recipes.data import Row, labelled
from models.score import LABELS

CARD = Path(models.__file__).parent / "pretrained" / "card.json"
MOVE_TEXTS = 256


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one source and language: rows, how many got no score, and two measures (percent)."""

    rows: int
    abstained: int
    recall: float
    f1: float


def quality(expected: Sequence[str], got: Sequence[str | None]) -> Quality:
    """Mean recall and mean F1 over the classes that occur; None stands for an abstention, which is wrong.

    >>> quality(["negative", "positive"], ["negative", None])
    Quality(rows=2, abstained=1, recall=50.0, f1=50.0)
    """
    recalls, f1s = [], []
    for label in LABELS:
        right = sum(e == g == label for e, g in zip(expected, got, strict=True))
        truly, said = sum(e == label for e in expected), sum(g == label for g in got)
        if truly:
            recalls.append(right / truly)
            f1s.append(2 * right / (truly + said))
    return Quality(len(expected), sum(g is None for g in got), 100 * sum(recalls) / len(recalls),
                   100 * sum(f1s) / len(f1s))


def answers(command: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the command says of each row. Raises CalledProcessError when it fails."""
    lines = "".join(json.dumps({"text": row.text, "lang": row.lang}) + "\n" for row in rows)
    done = subprocess.run(shlex.split(command), input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_source(rows: Sequence[Row], said: Sequence[dict[str, Any]]) -> dict[str, Quality]:
    """The quality of each source and language, by "source-lang"."""
    pairs: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for row, answer in zip(rows, said, strict=True):
        pairs[f"{row.source}-{row.lang}"].append((LABELS[row.label], answer["label"]))
    return {name: quality(*zip(*some, strict=True)) for name, some in sorted(pairs.items())}


def moves(name: str, texts: Sequence[str]) -> dict[str, float]:
    """How far the score (-1 to 1) of a text scored alone is from its score among all the others."""
    together = models.load(name).score(texts)
    # A second scorer: the first one would remember its own answers.
    scorer = models.load(name)
    alone = [scorer.score([text])[0] for text in texts]
    apart = sorted(abs(one.score - two.score) for one, two in zip(together, alone, strict=True))
    flips = sum(one.label != two.label for one, two in zip(together, alone, strict=True))
    return {"mean": round(sum(apart) / len(apart), 4), "p95": round(apart[int(0.95 * len(apart))], 4),
            "largest": round(apart[-1], 4), "other label, share": round(flips / len(apart), 4)}


def ungated(name: str, rows: Sequence[Row]) -> dict[str, Quality]:
    """The same, with every text scored, whatever its language."""
    return by_source(rows, [{"label": score.label} for score in models.load(name).score([row.text for row in rows])])


def write(found: dict[str, Quality], bare: dict[str, Quality], moved: dict[str, float]) -> None:
    """Into the card of the embedded model: a language that is not scored has its figure without the gate only."""
    card = json.loads(CARD.read_text())
    card["figures"] = {f"{name}, {measure}": round(value, 1) for name, one in found.items()
                       for measure, value in (("macro recall", one.recall), ("macro F1", one.f1))
                       if one.abstained < one.rows / 2}
    card["figures"] |= {f"{name}, macro F1 without the gate": round(one.f1, 1) for name, one in bare.items()}
    card["batch_move"] = moved
    CARD.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Prints the figures; with --write, the card gets them too."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--command", default="denyut score --json")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    rows = labelled(args.data, "dev")
    chosen = f" --model {shlex.quote(args.model)}" if args.model else ""
    found = by_source(rows, answers(args.command + chosen, rows))
    bare = ungated(args.model, rows)
    print("source-language   rows  abstained  macro recall  macro F1  without the gate")
    for name, one in found.items():
        print(f"{name:<16}  {one.rows:>5}  {one.abstained:>9}  {one.recall:>12.1f}  {one.f1:>8.1f}  "
              f"{bare[name].f1:>16.1f}")
    moved = moves(args.model, [row.text for row in rows[::max(len(rows) // MOVE_TEXTS, 1)]])
    print("a score moves with its batch:", ", ".join(f"{what} {far}" for what, far in moved.items()))
    if args.write:
        write(found, bare, moved)


if __name__ == "__main__":
    main()
