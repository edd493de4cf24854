"""The README's tables, made from the code that they describe.

    python -m tests.readme        writes them
"""

import re
import sys
from pathlib import Path

import yaml

from streams.metrics import FIGURES, PIPELINE
from streams.settings import Settings

README = Path(__file__).parent.parent / "README.md"
RULES = README.parent / "deploy" / "prometheus" / "rules"
RUNBOOKS = README.parent / "deploy" / "runbooks"


def settings_table() -> str:
    """Every setting, its default and what it means."""
    lines = [f"| `{row.name}` | {row.default and f'`{row.default}`'} | {row.meaning} |" for row in Settings().rows()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *lines])


def metrics_table() -> str:
    """Every metric, its kind and labels."""
    rows = (*FIGURES, *PIPELINE)
    lines = [f"| `{row.name}` | {row.kind} | {', '.join(row.labels)} | {row.meaning} |" for row in rows]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *lines])


def alerts_table() -> str:
    """Every alert, who hears of it, and the first sentence of its runbook."""
    lines = ["| alert | tells | severity | what it means |", "|---|---|---|---|"]
    for name, (team, severity) in _alerts().items():
        page = (RUNBOOKS / f"{name}.md").read_text()
        paragraph = page.partition("## What it means\n\n")[2].partition("\n\n")[0].replace("\n", " ")
        paragraph = re.sub(r" \(label [^)]*\)", "", paragraph)
        meaning = re.split(r"(?<=[.:;]) ", paragraph)[0].rstrip(".:;")
        lines.append(f"| [{name}](deploy/runbooks/{name}.md) | {team} | {severity} | {meaning} |")
    return "\n".join(lines)


def message() -> str:
    """What marketing gets of a made-up crisis, as the real Alertmanager wrote it (tests/test_alertmanager.py)."""
    said = (README.parent / "deploy" / "alertmanager" / "tests" / "expected" / "crisis.txt").read_text()
    title = said.partition("== slack: title ==\n")[2].partition("\n")[0]
    text = said.partition("== slack: text ==\n")[2].partition("\n==")[0].strip()
    return f"```\n{title}\n\n{text}\n```"


def _alerts() -> dict[str, tuple[str, str]]:
    """Alert -> team, severity; in the order of the rules."""
    rules = [rule for name in ("brands", "pipeline", "slo", "meta", "own")
             for group in yaml.safe_load((RULES / f"{name}.rules.yml").read_text())["groups"]
             for rule in group["rules"]]
    return {rule["alert"]: (rule["labels"]["team"], rule["labels"]["severity"]) for rule in rules if "alert" in rule}


def filled(text: str, name: str, table: str) -> str:
    """A README with a table between its marks."""
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    return re.sub(re.escape(marks[0]) + ".*?" + re.escape(marks[1]), lambda _: f"{marks[0]}{table}\n{marks[1]}", text,
                  flags=re.DOTALL)


def main() -> None:
    """Writes the tables into the README."""
    text = README.read_text()
    for name, table in (("settings", settings_table()), ("metrics", metrics_table()), ("alerts", alerts_table()),
                        ("message", message())):
        text = filled(text, name, table)
    README.write_text(text)
    sys.stdout.write("README.md: settings, metrics, alerts, message\n")


if __name__ == "__main__":
    main()
