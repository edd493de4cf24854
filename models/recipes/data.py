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

from models.score import LABELS
from models.text import normalise


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text. `two_class`: its source knows no neutral, so that the neutral logit is masked."""

    source: str
    lang: str
    text: str
    label: int
    two_class: bool


def labelled(folder: Path, split: str) -> list[Row]:
    """The labelled rows of a split ("train" or "dev")."""
    with gzip.open(folder / "labelled.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Row(row["source"], row["lang"], normalise(row["text"]), LABELS.index(row["label"]),
                row.get("two_class", False)) for row in rows if row["split"] == split]


def every_text(folder: Path) -> Iterator[str]:
    """Every text of both files but the dev rows, normalised."""
    for name in ("labelled.jsonl.gz", "unlabelled.jsonl.gz"):
        if (folder / name).exists():
            with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    if row.get("split") != "dev":
                        yield normalise(row["text"])
