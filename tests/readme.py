"""The README's tables, made from the code that they describe, and how a table comes into a page.

    python -m tests.readme        writes them

What is measured is written by who measured it: `tests.sim`, `tests.bench`, `tests.bench.model`, each with `--write`.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from streams.keeping import DAY, HOUR, TOPICS, Topic
from streams.metrics import FIGURES, PIPELINE
from streams.settings import Settings

README = Path(__file__).parent.parent / "README.md"
SIM = README.parent / "tests" / "sim" / "README.md"
BENCH = README.parent / "tests" / "bench" / "README.md"
RULES = README.parent / "deploy" / "prometheus" / "rules"
RUNBOOKS = README.parent / "deploy" / "runbooks"
HOLDS = {
    "posts": "posts, with their text",
    "mentions": "scores by brand, with keyed hashes of posts and authors; no text",
    "swings": "what was told of swings, with words and keys of posts",
    "rejects": "why a record was no post, and where it stood; no text",
    "blocks": "sealed sums, what is learned of brands, hashes of who voted within the hour; no text, no id of a post",
    "cursors": "where each source goes on",
}


def settings_table() -> str:
    """Every setting, its default and what it means."""
    lines = [f"| `{row.name}` | {row.default and f'`{row.default}`'} | {row.meaning} |" for row in Settings().rows()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *lines])


def metrics_table() -> str:
    """Every metric, its kind and labels."""
    rows = (*FIGURES, *PIPELINE)
    lines = [f"| `{row.name}` | {row.kind} | {', '.join(row.labels)} | {row.meaning} |" for row in rows]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *lines])


def kept_table() -> str:
    """Every topic, what it holds, and how long (`streams/keeping.py`)."""
    lines = [f"| `denyut.{topic.name}` | {HOLDS[topic.name]} | {_kept(topic)} | {_gone(topic)} |" for topic in TOPICS]
    return "\n".join(["| topic | holds | kept for | what was removed or replaced is gone within |", "|---|---|---|---|",
                      *lines])


def _kept(topic: Topic) -> str:
    """How long a record stands that nothing replaces."""
    rule = topic.rules.get("retention.ms")
    if rule is None:
        return "until it is replaced"
    span_ms = int(rule.value)
    said = f"{span_ms // DAY} days" if span_ms % DAY == 0 else f"{span_ms // HOUR} h"
    return f"{said}, or as you set" if rule.free else said


def _gone(topic: Topic) -> str:
    """The promise that its compaction is there for."""
    rule = topic.rules.get("max.compaction.lag.ms")
    return re.findall(r"within (\d+ h)", rule.why)[0] if rule and not rule.free else "-"


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
    """A page with a table between its marks."""
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    return re.sub(re.escape(marks[0]) + ".*?" + re.escape(marks[1]), lambda _: f"{marks[0]}{table}\n{marks[1]}", text,
                  flags=re.DOTALL)


def put(page: Path, tables: Mapping[str, str]) -> None:
    """Writes tables between their marks in a page. A mark that is not there is an error: a figure would be lost."""
    text = page.read_text()
    for name, table in tables.items():
        if f"<!-- {name} -->\n" not in text:
            raise ValueError(f"{page}: no mark <!-- {name} -->")
        text = filled(text, name, table)
    page.write_text(text)


def main() -> None:
    """Writes the tables into the README."""
    tables = {"settings": settings_table(), "metrics": metrics_table(), "kept": kept_table(),
              "alerts": alerts_table(), "message": message()}
    put(README, tables)
    sys.stdout.write(f"README.md: {', '.join(tables)}\n")


if __name__ == "__main__":
    main()
