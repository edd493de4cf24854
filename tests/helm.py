"""Helm: the chart rendered, without a cluster; and its golden renders.

    python -m tests.helm --write     writes deploy/chart/examples/*/rendered anew, and the table in its README

Knows nothing of what a manifest should say.
"""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart, lint

CHART = Path(__file__).parents[1] / "deploy" / "chart"
RELEASE, NAMESPACE = "denyut", "listening"
Values = Mapping[str, Any]
Thing = dict[str, Any]  # a Kubernetes object


def cases() -> dict[str, Path]:
    """Every file of values that the chart ships: name -> path."""
    found = {path.name.removesuffix("-values.yaml"): path for path in sorted(CHART.glob("ci/*-values.yaml"))}
    return found | {f"example {path.parent.name}": path for path in sorted(CHART.glob("examples/*/values.yaml"))}


def values_of(path: Path) -> Values:
    """The values in a file."""
    return yaml.safe_load(path.read_text()) or {}


@cache
def chart(folder: Path = CHART) -> Chart:
    """The chart in a folder, loaded once."""
    return Chart.load(folder)


def render(values: Values, folder: Path = CHART, release: str = RELEASE) -> dict[str, str]:
    """Template -> manifest, those that say something alone. Raises `helm_python.HelmError`."""
    manifests = chart(folder).render(dict(values), name=release, namespace=NAMESPACE)
    return {name.removeprefix("denyut/templates/"): _tidy(text) for name, text in sorted(manifests.items())
            if text.strip(" \n-")}


def things(manifests: Mapping[str, str]) -> list[Thing]:
    """The objects in rendered manifests."""
    return [thing for name, text in manifests.items() if name.endswith(".yaml") for thing in loaded(text)]


def loaded(text: str) -> list[Thing]:
    """The objects in YAML."""
    return [thing for thing in yaml.load_all(text, _Loader) if thing]


def complaints(values: Values) -> list[str]:
    """What `helm lint --strict` finds: warnings and errors."""
    report = lint(CHART, dict(values), strict=True, namespace=NAMESPACE)
    said = [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] > 1]
    return [*said, *report["errors"]]


def golden(example: Path) -> dict[str, str]:
    """The committed render of an example: template -> manifest."""
    return {path.name: path.read_text() for path in sorted((example / "rendered").glob("*"))}


def table() -> str:
    """Every value of values.yaml, as the chart's README has it: its name, its default, the first line on it."""
    said = re.findall(r"^ *# ([A-Za-z.]+) -- (.+)$", (CHART / "values.yaml").read_text(), re.MULTILINE)
    rows = [f"| `{name}` | `{json.dumps(_at(name))}` | {meaning} |" for name, meaning in said]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _at(name: str) -> Any:
    value: Any = values_of(CHART / "values.yaml")
    for part in name.split("."):
        value = value[part]
    return value


def write() -> None:
    """Renders every example anew, and the table of values."""
    page = CHART / "README.md"
    before, _, rest = page.read_text().partition("<!-- values -->\n")
    page.write_text(f"{before}<!-- values -->\n{table()}<!-- /values -->{rest.partition('<!-- /values -->')[2]}")
    for values in sorted(CHART.glob("examples/*/values.yaml")):
        folder = values.parent / "rendered"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in render(values_of(values)).items():
            (folder / name).write_text(text)
        print(f"{folder.relative_to(CHART)}: {len(list(folder.iterdir()))} files")  # noqa: T201  # a developer's tool


def _tidy(text: str) -> str:
    """Without the blank lines that templates leave behind."""
    lines = [line.rstrip() for line in text.strip().removeprefix("---").strip().splitlines()]
    return "\n".join(lines) + "\n"


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one: ten times as fast

if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()
