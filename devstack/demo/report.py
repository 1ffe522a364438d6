"""The demo's result: a table to look at, and the same as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mediagate.jobs import TERMINAL, State

OUTCOMES = (State.PUBLISHED, State.QUARANTINED, State.NEEDS_REVIEW, State.UNSCANNABLE, State.EXPIRED)


@dataclass
class Report:
    """What a run of the demo found."""

    ended: list[tuple[str, State]] = field(default_factory=list)
    windows: list[Mapping[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    scanned: int = 0
    known: int = 0
    dead_letter: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """Uploads without a terminal state."""
        return sum(state not in TERMINAL for _, state in self.ended)

    def as_json(self) -> dict[str, Any]:
        """The report's content."""
        states = Counter(state for _, state in self.ended)
        kinds = sorted({kind for kind, _ in self.ended})
        return {
            "uploaded": len(self.ended),
            **{outcome.value: states[outcome] for outcome in OUTCOMES},
            "dead_letter": self.dead_letter,
            "unaccounted": self.unaccounted,
            "scanned": self.scanned,
            "known": self.known,
            "linked_to_types": {
                kind: {outcome.value: self.ended.count((kind, outcome)) for outcome in OUTCOMES}
                for kind in kinds
            },
            "windows": [dict(window) for window in self.windows],
            "seconds_to_publication": {
                "p50": percentile(self.seconds, 50),
                "p95": percentile(self.seconds, 95),
            },
            "faults": self.faults,
        }

    def write(self, path: Path) -> None:
        """Writes the JSON file."""
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def show(self, console: Console) -> None:
        """Prints the tables."""
        outcomes = Table("linked_to_type", title="Where uploads ended", box=SIMPLE_HEAD, padding=0)
        for outcome in OUTCOMES:
            outcomes.add_column(outcome, justify="right")
        for kind, counts in self.as_json()["linked_to_types"].items():
            outcomes.add_row(kind, *(str(counts[outcome] or "") for outcome in OUTCOMES))
        states = Counter(state for _, state in self.ended)
        outcomes.add_section()
        outcomes.add_row("all", *(str(states[outcome] or "") for outcome in OUTCOMES))
        console.print(outcomes)
        windows = Table("media type", "closed by", "windows", "items", title="Windows", box=SIMPLE_HEAD)
        for (media_type, trigger), sizes in group_windows(self.windows).items():
            windows.add_row(media_type, trigger, str(len(sizes)), ", ".join(map(str, sizes)))
        console.print(windows)
        console.print(f"Scanned: {self.scanned}. Known from before, and not scanned again: {self.known}.")
        console.print(
            f"From completion to publication: p50 {percentile(self.seconds, 50):.1f} s, "
            f"p95 {percentile(self.seconds, 95):.1f} s. Dead letters: {self.dead_letter}. "
            f"Unaccounted: {self.unaccounted}."
        )
        for fault in self.faults:
            console.print(f"[red]{fault}[/red]")


def group_windows(windows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[int]]:
    """Sizes of the windows, by media type and by what closed them."""
    groups: dict[tuple[str, str], list[int]] = {}
    for window in windows:
        groups.setdefault((window["media_type"], window["trigger"]), []).append(window["items"])
    return dict(sorted(groups.items()))


def percentile(values: Sequence[float], percent: int) -> float:
    """The percentile of values; 0.0 where there are none."""
    if len(values) < 2:
        return round(values[0], 3) if values else 0.0
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 3)
