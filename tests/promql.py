"""PromQL: which series an expression names, and by which labels it takes them.

What stands under `deploy/` is written in another language than the program; this is how a test holds the two together.
Knows nothing of rule files or boards.
"""

from collections.abc import Iterable
from typing import Any

import promql_parser as ql

from streams.metrics import TABLE

_MADE = {"label_replace": 1, "label_join": 1}  # function -> which argument names the label that it makes


def metrics_of(expr: str) -> set[tuple[str, frozenset[str]]]:
    """Every series that the expression names, with the labels that it expects of it: those of its matchers, and those
    that aggregations and matchings around it ask for.

    >>> metrics_of('sum by (job) (rate(up{instance="a"}[5m]))') == {("up", frozenset({"instance", "job"}))}
    True
    >>> metrics_of('label_replace(up, "worker", "score", "", "") * on (worker) down') == {
    ...     ("up", frozenset()), ("down", frozenset({"worker"}))}
    True
    """
    return set(_named(ql.parse(expr), frozenset()))


def series() -> dict[str, frozenset[str]]:
    """Every series that the program serves, with its labels; a histogram is three of them.

    >>> sorted(series()["denyut_freshness_seconds_bucket"])
    ['le']
    """
    found: dict[str, frozenset[str]] = {}
    for row in TABLE:
        labels = frozenset(row.labels)
        if row.kind == "histogram":
            found |= {f"{row.name}_bucket": labels | {"le"}, f"{row.name}_sum": labels, f"{row.name}_count": labels}
        else:
            found[row.name] = labels
    return found


def _named(node: Any, asked: frozenset[str]) -> Iterable[tuple[str, frozenset[str]]]:
    """`asked`: the labels that what stands around this node asks of it."""
    if isinstance(node, ql.MatrixSelector):
        node = node.vector_selector
    if isinstance(node, ql.VectorSelector):
        yield _selected(node, asked)
    elif isinstance(node, ql.AggregateExpr):
        yield from _named(node.expr, asked | _labels(node.modifier))
        if node.param is not None:
            yield from _named(node.param, frozenset())
    elif isinstance(node, ql.BinaryExpr):
        modifier = node.modifier
        asked |= _labels(modifier.matching if modifier else None)
        yield from (*_named(node.lhs, asked), *_named(node.rhs, asked))
    elif isinstance(node, ql.Call):
        made = _MADE.get(node.func.name)
        less = asked - ({node.args[made].val} if made is not None else set())
        for argument in node.args:
            yield from _named(argument, less)
    elif isinstance(node, (ql.ParenExpr, ql.UnaryExpr, ql.SubqueryExpr)):
        yield from _named(node.expr, asked)


def _selected(node: Any, asked: frozenset[str]) -> tuple[str, frozenset[str]]:
    matchers = {matcher.name: matcher.value for matcher in node.matchers.matchers}
    name = node.name or matchers.pop("__name__", "")
    return name, asked | frozenset(matchers)


def _labels(modifier: Any) -> frozenset[str]:
    return frozenset() if modifier is None else frozenset(modifier.labels)
