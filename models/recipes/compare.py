"""Compare: the model beside the ways to build it that were not taken, in quality and speed, in one run.

    python -m models.recipes.compare --model MODEL --variants VARIANTS --data DATA [--rounds 5]

Each folder of VARIANTS is a model. Beside them stand the model's own two ends (everything answered early, everything
late), and a pair of two networks that share nothing: the early answers, and the deepest variant for the texts that the
model is unsure of. Quality is of dev rows, every text scored; speed is posts a second on one thread over the same
texts, in rounds in which all take turns, so that a noisy machine is noisy to all: the median, and the median of the
ratios to the deepest variant of each round.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
from models.quality import Judged, confusion, macro_f1, macro_recall
from models.recipes.data import labelled
from models.recipes.whole import write_json
from models.score import Card, Effort, Score, Scorer, warmed

SETS = {"tweeteval-en": macro_recall, "smsa-id": macro_f1, "nusax-id": macro_f1}  # as published
ROUNDS = 5
POSTS = 96  # of each set, for speed


@dataclass(frozen=True)
class Entry:
    """A way to score. `files`: its graphs."""

    name: str
    scorer: Scorer
    files: tuple[Path, ...]


class Apart:
    """Two networks that share nothing: the second is asked where the first is unsure."""

    def __init__(self, early: Scorer, late: Scorer, threshold: float) -> None:
        """`threshold`: of the greatest early probability."""
        self._early, self._late, self._threshold = early, late, threshold

    @property
    def card(self) -> Card:
        """The second one's."""
        return self._late.card

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order."""
        out = self._early.score(texts)
        unsure = [at for at, one in enumerate(out)
                  if max(one.negative, one.neutral, one.positive) < self._threshold]
        for at, score in zip(unsure, self._late.score([texts[at] for at in unsure]), strict=True):
            out[at] = score
        return out


def graphs(folder: Path) -> tuple[Path, ...]:
    """The ONNX files of a folder."""
    return tuple(sorted(folder.glob("*.onnx")))


def entries(model: Path, variants: Path) -> list[Entry]:
    """All that are compared; the deepest variant, which the ratios are to, first."""
    folders = sorted((one for one in variants.iterdir() if graphs(one)), key=lambda one: one.name)
    deepest = next(one for one in folders if one.name.endswith(" layers"))
    found = [_entry(deepest, deepest.name), *(_entry(one, one.name) for one in folders if one != deepest)]
    efforts: tuple[tuple[str, Effort], ...] = (
        ("shipped", "balanced"), ("shipped, fast: all early", "fast"), ("shipped, exact: all late", "exact"))
    ours = [_entry(model, name, effort) for name, effort in efforts]
    late = ours[0].scorer.card.late
    if late is not None:
        pair = Apart(ours[1].scorer, found[0].scorer, late.threshold)
        found.append(Entry(f"shipped, fast, then {deepest.name} apart", pair, (*ours[0].files[-1:], *found[0].files)))
    return [*found, *ours]


def _entry(folder: Path, name: str, effort: Effort = "balanced") -> Entry:
    return Entry(name, models.load(str(folder), effort=effort), graphs(folder))


def figures(scorer: Scorer, rows: dict[str, tuple[list[str], list[int]]]) -> dict[str, float]:
    """The published measure of each set that has rows, percent."""
    out = {}
    for name, measure in SETS.items():
        texts, labels = rows[name]
        if not texts:
            continue
        warmth = scorer.card.warmth.get(name.rpartition("-")[2], 1.0)
        judged = Judged.of(labels, [warmed(one, warmth) for one in scorer.score(texts)])
        out[name] = round(float(measure(confusion(judged))), 1)
    return out


def speeds(found: Sequence[Entry], texts: Sequence[str], rounds: int) -> list[tuple[float, float]]:
    """Posts a second, and the ratio to the first one, of each."""
    took: list[list[float]] = [[] for _ in found]
    for _ in range(rounds):
        for one, times in zip(found, took, strict=True):
            began_s = time.perf_counter()
            one.scorer.score(texts)
            times.append(time.perf_counter() - began_s)
    return [(len(texts) / statistics.median(times),
             statistics.median(first / own for first, own in zip(took[0], times, strict=True))) for times in took]


def table(model: Path, variants: Path, data: Path, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row for each way to score, as `models.report.Variant` has it."""
    rows: dict[str, tuple[list[str], list[int]]] = {name: ([], []) for name in SETS}
    for row in labelled(data, "dev"):
        name = f"{row.source}-{row.lang}"
        if name in rows:
            rows[name][0].append(row.text)
            rows[name][1].append(row.label)
    found = entries(model, variants)
    texts = [text for some, _ in rows.values() for text in some[:POSTS]]
    measured = speeds(found, texts, rounds)
    return [{"name": one.name, "mb": round(sum(file.stat().st_size for file in one.files) / 1e6, 1),
             "posts_per_s": round(speed, 1), "ratio": round(ratio, 2), "figures": figures(one.scorer, rows)}
            for one, (speed, ratio) in zip(found, measured, strict=True)]


def told(rows: Sequence[dict[str, Any]]) -> str:
    """The table for people."""
    lines = [f"{'':<44}  {'MB':>5}  {'posts/s':>8}  {'ratio':>5}  " + "  ".join(f"{name:>12}" for name in SETS)]
    lines += [f"{row['name']:<44}  {row['mb']:>5}  {row['posts_per_s']:>8}  {row['ratio']:>5}  "
              + "  ".join(f"{row['figures'].get(name, ''):>12}" for name in SETS) for row in rows]
    return "\n".join(lines)


def compare(model: Path, variants: Path, data: Path, rounds: int = ROUNDS) -> None:
    """Prints the table, and puts it into the model's card."""
    found = table(model, variants, data, rounds)
    print(told(found))
    card = json.loads((model / "card.json").read_text())
    card.setdefault("report", {})["variants"] = found
    write_json(model / "card.json", card)


def main() -> None:
    """Compares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("model", "variants", "data"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    compare(args.model, args.variants, args.data, args.rounds)


if __name__ == "__main__":
    main()
