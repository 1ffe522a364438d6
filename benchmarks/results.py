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

RATIO = "ratio"
COLUMNS = ("peer", "a second", RATIO, "CPU s / 10,000", "RSS MiB")
LATENCIES = ("p50 ms", "p99 ms")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one peer; `rate` a second, CPU seconds per 10,000, memory in MiB, latencies in ms.

    With a `scale`, how many workers or events it is of, it is Mediagate's alone: nobody is compared.
    `lead` is how many times as fast the first peer was, as the median over rotations: what slows the
    machine down for one of them weighs on both.
    """

    peer: str
    rate: float
    cpu_seconds_per_10k: float
    peak_rss_mib: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    scale: int | None = None
    lead: float | None = None


def medians(runs: Sequence[Measurement]) -> list[Measurement]:
    """One measurement a peer, in the order in which they were first run."""
    by_peer: defaultdict[str, list[Measurement]] = defaultdict(list)
    for run in runs:
        by_peer[run.peer].append(run)
    first = by_peer[runs[0].peer]
    return [
        Measurement(
            peer,
            median(each.rate for each in group),
            median(each.cpu_seconds_per_10k for each in group),
            median(each.peak_rss_mib for each in group),
            _median_of([each.p50_ms for each in group]),
            _median_of([each.p99_ms for each in group]),
            group[0].scale,
            _lead(first, group),
        )
        for peer, group in by_peer.items()
    ]


def table(title: str, measured: Sequence[Measurement], notes: Mapping[str, str]) -> Table:
    """Figures, and how many times as fast the first peer is; what others promise less stands below."""
    columns = _columns(measured)
    rows = Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD)
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
    lead = {each.peer: each.lead for each in measured}.get(theirs)
    return None if lead is None or measured[0].peer != ours else round(lead, 3)


def save(
    file: Path,
    area: str,
    measured: Sequence[Measurement],
    ratios: Mapping[str, float | None],
    about: Mapping[str, Any],
) -> None:
    """Writes an area's figures as JSON, beside other areas; a ratio that is None was not measured."""
    before = json.loads(file.read_text()) if file.exists() else {"ratios": {}, "areas": {}}
    known = {name: value for name, value in ratios.items() if value is not None}
    whole = {
        "about": dict(about),
        "ratios": {**before["ratios"], **known},
        "areas": {**before["areas"], area: [asdict(each) for each in measured]},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, indent=2) + "\n")


def markdown(measured: Sequence[Measurement]) -> str:
    """The same table for docs/performance.md."""
    columns = _columns(measured)
    rows = [
        columns,
        ("---", *["---:"] * (len(columns) - 1)),
        *(_cells(each, measured[0]) for each in measured),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def fill(page: Path, file: Path) -> None:
    """Puts the tables of a file that `save` has written into a page, each behind its `<!-- area -->`."""
    text = page.read_text()
    for area, measured in load(file).items():
        text = put_table(text, area, markdown(measured))
    page.write_text(text)


def put_table(text: str, mark: str, table: str) -> str:
    """The text with a table behind `<!-- mark -->`; as it was where it has no such mark."""
    before, found, rest = text.partition(f"<!-- {mark} -->\n\n")
    if not found:
        return text
    _, _, after = rest.partition("\n\n")
    return f"{before}{found}{table}\n\n{after}"


def load(file: Path) -> dict[str, list[Measurement]]:
    """The areas of a file that `save` has written."""
    areas = json.loads(file.read_text())["areas"]
    return {area: [Measurement(**each) for each in measured] for area, measured in areas.items()}


def _columns(measured: Sequence[Measurement]) -> tuple[str, ...]:
    columns = COLUMNS + (LATENCIES if _timed(measured) else ())
    if all(each.scale is None for each in measured):
        return columns
    return ("", *(each for each in columns[1:] if each != RATIO))


def _timed(measured: Sequence[Measurement]) -> bool:
    return any(each.p50_ms is not None for each in measured)


def _median_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _lead(first: Sequence[Measurement], runs: Sequence[Measurement]) -> float | None:
    if first[0].scale is not None:
        return None
    return median(ours.rate / theirs.rate for ours, theirs in zip(first, runs, strict=True))


def _cells(measured: Measurement, first: Measurement) -> tuple[str, ...]:
    latencies = (measured.p50_ms, measured.p99_ms) if _timed([first, measured]) else ()
    return (
        measured.peer,
        f"{measured.rate:,.0f}",
        *(["" if measured.lead is None else f"{measured.lead:.2f}"] if first.scale is None else []),
        f"{measured.cpu_seconds_per_10k:.2f}",
        f"{measured.peak_rss_mib:.0f}",
        *("" if value is None else f"{value:,.1f}" for value in latencies),
    )
