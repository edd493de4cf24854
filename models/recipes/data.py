"""The data folder of the recipes: two files of gzip JSON lines.

`labelled.jsonl.gz` has source, lang, split (train, dev), label, text, and two_class where the source knows no neutral;
`unlabelled.jsonl.gz` has source, lang, text. The folder is a parameter, never part of the project. Texts come out
normalised, as the model will read them.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.score import LABELS
from models.text import normalise

UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class Row:
    """One text. `label` is UNLABELLED where nobody judged it; `two_class`: its source knows no neutral."""

    source: str
    lang: str
    text: str
    label: int
    two_class: bool


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def labelled(folder: Path, split: str) -> list[Row]:
    """The labelled rows of a split ("train" or "dev")."""
    return [Row(row["source"], row["lang"], normalise(row["text"]), LABELS.index(row["label"]),
                row.get("two_class", False))
            for row in _lines(folder / "labelled.jsonl.gz") if row["split"] == split]


def unlabelled(folder: Path) -> list[Row]:
    """The rows that nobody judged; none without their file."""
    path = folder / "unlabelled.jsonl.gz"
    if not path.exists():
        return []
    return [Row(row["source"], row["lang"], normalise(row["text"]), UNLABELLED, False) for row in _lines(path)]


def every_text(folder: Path) -> Iterator[str]:
    """Every text of both files but the dev rows, normalised."""
    for row in [*labelled(folder, "train"), *unlabelled(folder)]:
        yield row.text
