"""Whole: a file that is there is whole. What was killed while writing leaves nothing that looks done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` fill a file beside `path`, of the same suffix, and puts it in its place."""
    part = path.with_name(f"part-{path.name}")
    write(part)
    part.rename(path)


def write_json(path: Path, said: Any) -> None:
    """As people can read it."""
    text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
