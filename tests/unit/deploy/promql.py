"""What PromQL expressions name: metrics, and the labels that are asked of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser
from prometheus_client.metrics import MetricWrapperBase

from mediagate import metrics

INTERVALS = {"$__rate_interval": "1m"}
OF_PROMETHEUS: Mapping[str, frozenset[str]] = {
    "up": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate"}),
    "process_start_time_seconds": frozenset(),
    "process_resident_memory_bytes": frozenset(),
}
"""Metrics that Prometheus makes itself, and that the client library has of every process on Linux."""
OF_EVERY_SERIES = frozenset({"job", "instance"})


@dataclass(frozen=True, slots=True)
class Use:
    """One selector, and every label that it and what is done with it name."""

    metric: str
    labels: frozenset[str]


def parse(expression: str) -> Any:
    """The expression's tree; raises ValueError where it is none. Grafana's variables become intervals."""
    for name, interval in INTERVALS.items():
        expression = expression.replace(name, interval)
    return promql_parser.parse(expression)


def uses(expression: str) -> list[Use]:
    """Every selector of an expression."""
    return list(_uses(parse(expression), frozenset()))


def exported() -> dict[str, frozenset[str]]:
    """Labels of every sample that mediagate.metrics exports, and of those that are always there."""
    found = dict(OF_PROMETHEUS)
    for collector in vars(metrics).values():
        if isinstance(collector, MetricWrapperBase):
            found.update(_samples(collector))
    return {name: labels | OF_EVERY_SERIES for name, labels in found.items()}


def _samples(collector: MetricWrapperBase) -> Iterator[tuple[str, frozenset[str]]]:
    (family,) = collector.describe()
    labels = frozenset(collector._labelnames)
    if family.type == "histogram":
        yield f"{family.name}_bucket", labels | {"le"}
        yield f"{family.name}_sum", labels
        yield f"{family.name}_count", labels
    else:
        yield f"{family.name}_total" if family.type == "counter" else family.name, labels


def _uses(node: Any, asked: frozenset[str]) -> Iterator[Use]:
    """Labels that an operator asks for are asked of everything below it, but of what makes them."""
    if isinstance(node, promql_parser.VectorSelector):
        assert node.name is not None
        yield Use(node.name, asked | {matcher.name for matcher in node.matchers.matchers})
    elif isinstance(node, promql_parser.MatrixSelector):
        yield from _uses(node.vector_selector, asked)
    elif isinstance(node, promql_parser.AggregateExpr):
        yield from _uses(node.expr, frozenset(node.modifier.labels if node.modifier else ()))
    elif isinstance(node, promql_parser.BinaryExpr):
        matching = node.modifier and node.modifier.matching
        for side in (node.lhs, node.rhs):
            yield from _uses(side, asked | set(matching.labels if matching else ()))
    elif isinstance(node, promql_parser.Call):
        yield from _call(node, asked)
    elif isinstance(node, promql_parser.ParenExpr | promql_parser.SubqueryExpr):
        yield from _uses(node.expr, asked)
    else:
        assert isinstance(node, promql_parser.NumberLiteral | promql_parser.StringLiteral), node


def _call(node: Any, asked: frozenset[str]) -> Iterator[Use]:
    if node.func.name == "label_replace":
        made, source = node.args[1].val, node.args[3].val
        asked = asked - {made} | {source}
    for argument in node.args:
        yield from _uses(argument, asked)
