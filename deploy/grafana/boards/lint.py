"""What no board may do; each fault says where it is.

Reads the board's JSON as Grafana would, after the rules of Grafana's own dashboard linter and a few of ours.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import promql_parser as promql

from streams.metrics import TABLE

Json = dict[str, Any]

COUNTERS = frozenset(row.name for row in TABLE if row.kind == "counter") | {
    f"{row.name}_{part}" for row in TABLE if row.kind == "histogram" for part in ("bucket", "sum", "count")
}
OVER_TIME = frozenset({"rate", "irate", "increase"})
RANGE = re.compile(r"\[([^\]]+)\]")
TEXT = re.compile(r'"[^"]*"')
MOODS = frozenset({
    f"denyut_{mood}{end}" for mood in ("mood", "unprompted_mood") for end in ("", "_lower", "_upper")
})  # fmt: skip


def faults(text: str) -> list[str]:
    """Everything that is wrong with a board."""
    board = json.loads(text)
    found = [*_board(board), *_variables(board), *_grid(board)]
    for panel in panels(board):
        found.extend(f"{panel.get('title')!r}: {fault}" for fault in _panel(panel))
    found.extend(f"annotation {mark['name']!r}: {fault}" for mark in marks(board) for fault in _expr(mark["expr"]))
    found.extend(f"data source {uid!r}: expected ${{datasource}}" for uid in _sources(board) if uid != "${datasource}")
    return found


def panels(board: Json) -> list[Json]:
    """The panels that show something: not the headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def marks(board: Json) -> list[Json]:
    """The annotations that ask Prometheus."""
    return list((board.get("annotations") or {}).get("list") or [])


def variables(board: Json) -> list[Json]:
    """The variables."""
    return list((board.get("templating") or {}).get("list") or [])


def spoken(expr: str, brand: str = ".+") -> str:
    """An expression with Grafana's variables replaced, as Prometheus would be asked."""
    times = {"__rate_interval": "1m", "__interval": "15s", "__interval_ms": "15000", "__range": "5m"}
    values = {**times, "brand": brand, "window": "1h"}
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda found: values[found[1]], expr)


def _board(board: Json) -> Iterator[str]:
    for key in ("uid", "title", "description"):
        if not board.get(key):
            yield f"no {key}"
    if board.get("editable") is not False:
        yield "editable is not false"
    for each in (*marks(board), *(board.get("links") or [])):
        if each.get("placement"):  # Grafana 13 puts it into a menu, where nobody looks
            yield f"{each.get('name') or each.get('title')!r}: placement {each['placement']!r}: expected none"
    ids = [panel.get("id") for panel in board["panels"]]
    for number in sorted({str(number) for number in ids if number is None or ids.count(number) > 1}):
        yield f"panel id {number} is missing or not unique"


def _variables(board: Json) -> Iterator[str]:
    every = variables(board)
    if not any(each["name"] == "datasource" and each["type"] == "datasource" for each in every):
        yield "no variable datasource"
    for each in every:
        if each["type"] == "query" and each.get("refresh") != 2:
            yield f"variable {each['name']!r}: does not refresh when the time range changes"
        if each.get("includeAll") and each.get("allValue") != ".*":
            yield f"variable {each['name']!r}: allValue is not .*"


def _grid(board: Json) -> Iterator[str]:
    places = [(panel.get("title"), panel["gridPos"]) for panel in board["panels"]]
    for title, place in places:
        if place["x"] < 0 or place["y"] < 0 or place["w"] < 1 or place["h"] < 1 or place["x"] + place["w"] > 24:
            yield f"{title!r}: outside the grid"
    for (one, a), (other, b) in combinations(places, 2):
        if (
            a["x"] < b["x"] + b["w"]
            and b["x"] < a["x"] + a["w"]
            and a["y"] < b["y"] + b["h"]
            and b["y"] < a["y"] + a["h"]
        ):
            yield f"{one!r} and {other!r}: on top of each other"


def _panel(panel: Json) -> Iterator[str]:
    for key in ("title", "description"):
        if not panel.get(key):
            yield f"no {key}"
    if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
        yield "no unit"
    if not panel.get("targets"):
        yield "asks nothing"
    names = [target["refId"] for target in panel.get("targets", ())]
    if len(set(names)) < len(names):
        yield "two questions of one refId"
    for target in panel.get("targets", ()):
        yield from _expr(target["expr"])


def _expr(expr: str) -> Iterator[str]:
    for span in RANGE.findall(TEXT.sub('""', expr)):
        if span not in ("$__rate_interval", "$__range"):
            yield f"[{span}]: expected [$__rate_interval]"
    try:
        tree = promql.parse(spoken(expr))
    except (ValueError, KeyError) as error:
        yield f"{expr}: {error}"
        return
    for name in _bare_counters(tree, inside=False):
        yield f"{name}: a counter outside rate and increase"
    for node in _nodes(tree):
        if isinstance(node, promql.AggregateExpr) and str(node.op) in ("sum", "avg"):
            for mood in sorted(MOODS & {str(inner.name) for inner in _selectors(node.expr)}):
                yield f"{mood}: a mood is neither summed nor averaged"


def matched(expr: str) -> Iterator[tuple[str, str]]:
    """(label, value) of every matcher."""
    for selector in _selectors(promql.parse(expr)):
        for matcher in selector.matchers.matchers:
            yield matcher.name, matcher.value


def _selectors(tree: Any) -> Iterator[Any]:
    return (node for node in _nodes(tree) if isinstance(node, promql.VectorSelector))


def _nodes(tree: Any) -> Iterator[Any]:
    yield tree
    inner: list[Any] = []
    if isinstance(tree, promql.MatrixSelector):
        inner = [tree.vector_selector]
    elif isinstance(tree, promql.Call):
        inner = list(tree.args)
    elif isinstance(tree, promql.BinaryExpr):
        inner = [tree.lhs, tree.rhs]
    elif isinstance(tree, promql.AggregateExpr | promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        inner = [tree.expr]
    for node in inner:
        yield from _nodes(node)


def _bare_counters(tree: Any, *, inside: bool) -> Iterator[str]:
    if isinstance(tree, promql.VectorSelector):
        if (tree.name in COUNTERS or str(tree.name).endswith("_total")) and not inside:
            yield str(tree.name)
    elif isinstance(tree, promql.MatrixSelector):
        yield from _bare_counters(tree.vector_selector, inside=inside)
    elif isinstance(tree, promql.Call):
        for argument in tree.args:
            yield from _bare_counters(argument, inside=tree.func.name in OVER_TIME)
    elif isinstance(tree, promql.BinaryExpr):
        yield from _bare_counters(tree.lhs, inside=False)
        yield from _bare_counters(tree.rhs, inside=False)
    elif isinstance(tree, promql.AggregateExpr | promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        yield from _bare_counters(tree.expr, inside=False)


def _sources(node: Any) -> Iterator[str]:
    """The uid of every data source that a board names, wherever it stands."""
    if isinstance(node, Mapping):
        named = node.get("datasource")
        if isinstance(named, Mapping):
            yield str(named.get("uid"))
        for inner in node.values():
            yield from _sources(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _sources(inner)
