"""Every question that the boards put to Prometheus, as Prometheus hears it: for a test that has a real one.

Grafana's variables are replaced as Grafana would; a variable's own query becomes the series that it counts on.
Knows nothing of Prometheus: it reads the committed JSON.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.grafana.boards import ask, lint
from tests.promql import metrics_of

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
_VALUES = re.compile(r"label_values\((?P<metric>.+), (?P<label>\w+)\)")


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `place` is a panel's title and the letter of its query, an annotation's name, or a variable's."""

    board: str
    place: str
    expr: str
    may_be_empty: bool  # it names a series that is there only while a swing is open (ask.MAY_BE_ABSENT says which)


def texts() -> dict[str, str]:
    """Uid -> the committed JSON of each board."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))}


def queries(brand: str = ".+") -> list[Query]:
    """All of them, for the brands that match."""
    return [
        Query(uid, place, expr, _may_be_empty(expr))
        for uid, text in texts().items()
        for place, raw in asked(json.loads(text))
        for expr in [lint.spoken(raw, brand)]
    ]


def asked(board: lint.Json) -> Iterator[tuple[str, str]]:
    """(place, expression) of panels, annotations and variables."""
    for panel in lint.panels(board):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for mark in lint.marks(board):
        yield f"annotation {mark['name']}", mark["expr"]
    for variable in lint.variables(board):
        if variable["type"] == "query":
            found = _VALUES.fullmatch(variable["query"]["query"])
            assert found is not None, f"{variable['name']}: expected label_values(metric, label)"
            yield f"variable {variable['name']}", f"count by ({found['label']}) ({found['metric']})"


def _may_be_empty(expr: str) -> bool:
    """An expression of which every series may be absent; with one that is always there it must answer."""
    return all(name in ask.MAY_BE_ABSENT for name, _ in metrics_of(expr)) and bool(metrics_of(expr))
