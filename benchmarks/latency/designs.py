"""Whose latency is measured: how each is started, and what it promises less than Mediagate."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peer import Command
from benchmarks.prepare import node_of

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Design:
    """`prepare` makes its processes' commands, by name; the first is where uploads come in."""

    name: str
    prepare: Callable[[], Mapping[str, Command]]
    weaker: str = ""


def _mediagate() -> Mapping[str, Command]:
    modules = {"gateway": "gateway", "streams": "benchmarks.latency.streams_process", "sinks": "sinks"}
    return {name: [sys.executable, "-m", module] for name, module in modules.items()}


def _reference() -> Mapping[str, Command]:
    return {"gateway": ["node", node_of(HERE / "reference") / "main.js"]}


def moves(uploads: int, rate: float) -> Sequence[str | Path]:
    """S3 alone."""
    return [sys.executable, "-m", "benchmarks.latency.moves", str(uploads), str(rate)]


MEDIAGATE = Design("mediagate", _mediagate)
REFERENCE = Design(
    "reference",
    _reference,
    "a queue in memory; no Kafka, events, checks of what was uploaded or of what is overwritten, metrics",
)
DESIGNS = (MEDIAGATE, REFERENCE)
