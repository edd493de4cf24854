"""What is deployed and what runs agree on every name, in both directions.

Labels are held against the program where expressions are parsed: tests/test_rules.py and tests/test_boards.py.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from streams.metrics import TABLE
from streams.settings import PREFIX, Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
TEXT = {".yml", ".yaml", ".json", ".md", ".tmpl", ".tpl", ".sh", ".txt", ".example", ".env", ""}
METRIC = re.compile(r"(?<![\w:./-])denyut_[a-z][a-z0-9_]*")
RECORDED = re.compile(r"\b[a-z_]+:denyut_[a-z0-9_:]+")
SETTING = re.compile(rf"\b{PREFIX}[A-Z][A-Z0-9_]*")
ENDINGS = ("_bucket", "_sum", "_count")


def texts(*below: str) -> Iterator[tuple[str, str]]:
    """Every text file below deploy/: its name from there, and what is in it."""
    for path in sorted(DEPLOY.rglob("*")):
        name = path.relative_to(DEPLOY).as_posix()
        if path.is_file() and path.suffix in TEXT and "node_modules" not in path.parts and (
                not below or name.startswith(below)):
            yield name, path.read_text("utf-8")


def metrics_in(text: str) -> set[str]:
    """The program's metrics that a text names, histograms by their own name."""
    known = {row.name for row in TABLE}
    return {next((name.removesuffix(end) for end in ENDINGS if name.removesuffix(end) in known), name)
            for name in METRIC.findall(RECORDED.sub("", text))}


def recorded() -> set[str]:
    """What the rules record."""
    return {rule["record"] for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")
            for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"] if "record" in rule}


@pytest.mark.parametrize(("name", "text"), [pytest.param(*one, id=one[0]) for one in texts()])
def test_every_name_below_deploy_exists(name: str, text: str) -> None:
    """A metric is one that the program exports or a rule records; a setting is one that the program reads."""
    assert metrics_in(text) - {row.name for row in TABLE} == set(), name
    assert set(RECORDED.findall(text)) - recorded() == set(), name
    assert set(SETTING.findall(text)) - {row.name for row in Settings().rows()} == set(), name


def test_every_metric_is_on_a_board_or_in_a_rule() -> None:
    """What nobody looks at need not be exported."""
    shown = set().union(*(metrics_in(text) for _, text in texts("grafana/dashboards", "prometheus/rules")))
    assert {row.name for row in TABLE} - shown == set()


def test_every_setting_can_be_given_in_the_chart() -> None:
    """Either the chart sets it itself, or its values take it by its own name in small letters."""
    schema = json.loads((DEPLOY / "chart" / "values.schema.json").read_text())
    given = {PREFIX + name.upper() for name in schema["$defs"]["settings"]["properties"]}
    made = {name for _, text in texts("chart/templates") for name in SETTING.findall(text)}
    assert given | made == {row.name for row in Settings().rows()}
