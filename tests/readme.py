"""The README's tables, made from the code that they describe.

    python -m tests.readme        writes them
"""

import re
import sys
from pathlib import Path

from streams.metrics import FIGURES, PIPELINE
from streams.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    """Every setting, its default and what it means."""
    lines = [f"| `{row.name}` | {row.default and f'`{row.default}`'} | {row.meaning} |" for row in Settings().rows()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *lines])


def metrics_table() -> str:
    """Every metric, its kind and labels."""
    rows = (*FIGURES, *PIPELINE)
    lines = [f"| `{row.name}` | {row.kind} | {', '.join(row.labels)} | {row.meaning} |" for row in rows]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *lines])


def filled(text: str, name: str, table: str) -> str:
    """A README with a table between its marks."""
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    return re.sub(re.escape(marks[0]) + ".*?" + re.escape(marks[1]), lambda _: f"{marks[0]}{table}\n{marks[1]}", text,
                  flags=re.DOTALL)


def main() -> None:
    """Writes the tables into the README."""
    text = README.read_text()
    for name, table in (("settings", settings_table()), ("metrics", metrics_table())):
        text = filled(text, name, table)
    README.write_text(text)
    sys.stdout.write("README.md: settings, metrics\n")


if __name__ == "__main__":
    main()
