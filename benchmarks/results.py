"""What was measured: medians over rotations, as a table for people and as JSON."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

COLUMNS = ("peer", "a second", "ratio", "CPU s / 10,000", "RSS MiB")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one peer; `rate` a second, CPU seconds per 10,000, memory in MiB."""

    peer: str
    rate: float
    cpu_seconds_per_10k: float
    peak_rss_mib: float


def medians(runs: Sequence[Measurement]) -> list[Measurement]:
    """One measurement a peer, in the order in which they were first run."""
    by_peer: defaultdict[str, list[Measurement]] = defaultdict(list)
    for run in runs:
        by_peer[run.peer].append(run)
    return [
        Measurement(
            peer,
            median(each.rate for each in group),
            median(each.cpu_seconds_per_10k for each in group),
            median(each.peak_rss_mib for each in group),
        )
        for peer, group in by_peer.items()
    ]


def table(title: str, measured: Sequence[Measurement], notes: Mapping[str, str]) -> Table:
    """Figures, and how many times as fast the first peer is; what others promise less stands below."""
    rows = Table(*COLUMNS, title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in rows.columns[1:]:
        column.justify = "right"
    for each in measured:
        rows.add_row(*_cells(each, measured[0]))
    shown = [each.peer for each in measured]
    rows.caption = "\n".join(f"{peer}: {note}" for peer, note in notes.items() if note and peer in shown)
    rows.caption_justify = "left"
    return rows


def ratio(measured: Sequence[Measurement], ours: str, theirs: str) -> float | None:
    """How many times as fast we are; None where one of the two was not run."""
    rates = {each.peer: each.rate for each in measured}
    return round(rates[ours] / rates[theirs], 3) if {ours, theirs} <= rates.keys() else None


def save(
    file: Path,
    results: Mapping[str, Sequence[Measurement]],
    ratios: Mapping[str, float],
    about: Mapping[str, Any],
) -> None:
    """Writes everything as JSON."""
    areas = {area: [asdict(each) for each in measured] for area, measured in results.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"about": dict(about), "ratios": dict(ratios), "areas": areas}, indent=2) + "\n"
    )


def markdown(measured: Sequence[Measurement]) -> str:
    """The same table for docs/performance.md."""
    rows = [
        COLUMNS,
        ("---", *["---:"] * (len(COLUMNS) - 1)),
        *(_cells(each, measured[0]) for each in measured),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def load(file: Path) -> dict[str, list[Measurement]]:
    """The areas of a file that `save` has written."""
    areas = json.loads(file.read_text())["areas"]
    return {area: [Measurement(**each) for each in measured] for area, measured in areas.items()}


def _cells(measured: Measurement, first: Measurement) -> tuple[str, ...]:
    return (
        measured.peer,
        f"{measured.rate:,.0f}",
        f"{first.rate / measured.rate:.2f}",
        f"{measured.cpu_seconds_per_10k:.2f}",
        f"{measured.peak_rss_mib:.0f}",
    )
