"""When each upload was accepted, decided and published, and what of that was waited for; pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

WINDOW = 50
MAX_WAIT = 10.0
WARM_UP = 0.25
"""Share of the uploads, the first ones, that are not measured."""


@dataclass
class Times:
    """Seconds since the epoch, by media id; and which uploads came to the scanner together."""

    accepted: Mapping[str, float] = field(default_factory=dict)
    decided: Mapping[str, float] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    windows: Sequence[Sequence[str]] = ()

    def to_decision(self) -> list[float]:
        """Seconds from when an upload's window could close until its decision."""
        closed = {
            media_id: _closed(sorted(self.accepted[each] for each in window))
            for window in self.windows
            for media_id in window
        }
        return [self.decided[media_id] - closed[media_id] for media_id in self._measured(self.accepted)]

    def to_published(self) -> list[float]:
        """Seconds from decision to published."""
        return [self.published[each] - self.decided[each] for each in self._measured(self.decided)]

    @staticmethod
    def _measured(since: Mapping[str, float]) -> list[str]:
        in_order = sorted(since, key=since.__getitem__)
        return in_order[int(len(in_order) * WARM_UP) :]

    @property
    def rate(self) -> float:
        """Uploads published a second, the measured ones."""
        ends = sorted(self.published.values())
        ends = ends[int(len(ends) * WARM_UP) :]
        return (len(ends) - 1) / (ends[-1] - ends[0])


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """p50 and p99, ms."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


def lines(log: Path) -> Iterator[Mapping[str, Any]]:
    """What a process has written as JSON so far."""
    for line in log.read_bytes().splitlines(keepends=True):
        if line.startswith(b"{") and line.endswith(b"\n"):
            yield json.loads(line)


def windows_of(log: Path) -> list[list[str]]:
    """The windows that a process has told of."""
    return [line["window"] for line in lines(log) if "window" in line]


def _closed(accepted: Sequence[float]) -> float:
    """When the last one came, where it was full; else when the first had waited for as long as it may."""
    return accepted[-1] if len(accepted) == WINDOW else accepted[0] + MAX_WAIT
