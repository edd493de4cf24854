"""Knobs: a frozen dataclass of str, int and float fields, read strictly from `--name value` pairs.

A misspelt knob must not train for an hour with its default. Knows nothing of what a knob does.
"""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

Knobs = TypeVar("Knobs")
_READ = {"str": str, "int": int, "float": float}


def read(kind: type[Knobs], argv: Sequence[str]) -> Knobs:
    """The knobs. Raises SystemExit for an unknown name, a wrong type or a missing value."""
    known = {knob.name: knob for knob in fields(kind)}  # type: ignore[arg-type]  # any dataclass
    values: dict[str, Any] = {}
    if len(argv) % 2:
        raise SystemExit(f"--name value pairs were expected, {len(argv)} words were seen")
    for flag, raw in zip(argv[::2], argv[1::2], strict=True):
        knob = known.get(flag.removeprefix("--"))
        if knob is None or not flag.startswith("--"):
            raise SystemExit(f"{flag}: not a knob; there are {', '.join(known)}")
        try:
            values[knob.name] = _READ[getattr(knob.type, "__name__", "")](raw)
        except ValueError:
            raise SystemExit(f"{flag} {raw!r}: expected {getattr(knob.type, '__name__', knob.type)}") from None
    missing = [name for name, knob in known.items() if knob.default is MISSING and name not in values]
    if missing:
        raise SystemExit(f"--{' --'.join(missing)} missing")
    return kind(**values)
