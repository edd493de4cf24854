"""The table: one row a budget, and how the machine is called that it was measured on."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One budget. `met` None: it could not be measured here, and `measured` says why."""

    name: str
    budget: str
    measured: str
    met: bool | None
    note: str


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown.

    >>> print(table([Row("walk", "<= 2 s", "3 s", False, "uphill")]))
    | what | budget | measured | how |
    |---|---|---|---|
    | walk | <= 2 s | **3 s, missed** | uphill |
    """
    lines = [f"| {row.name} | {row.budget} | {_said(row)} | {row.note} |" for row in rows]
    return "\n".join(["| what | budget | measured | how |", "|---|---|---|---|", *lines])


def _said(row: Row) -> str:
    return f"**{row.measured}, missed**" if row.met is False else row.measured


def machine() -> str:
    """This machine in one line."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines()
              if line.startswith("model name")] if info.exists() else []
    return (f"{os.cpu_count()} cores, {models[0] if models else platform.machine()}, "
            f"Python {platform.python_version()}")
