"""What a backtest found, as a CSV file and as tables."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mediagate.backtest import Backtest, Flip
from mediagate.errors import ConfigurationError

COLUMNS = (
    "media_id",
    "linked_to_type",
    "recorded_outcome",
    "new_outcome",
    "recorded_policy",
    "scanner",
    "model_version",
    "scores",
    "reasons",
)
FORMULA_STARTS = ("=", "+", "-", "@")


class FlipFile:
    """Flips as rows of a CSV file; no cell is a formula to a spreadsheet."""

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.DictWriter(file, COLUMNS)
        self._rows.writeheader()

    def add(self, flip: Flip) -> None:
        """Writes one row."""
        decision = flip.decision
        row = {
            "media_id": str(decision.media_id),
            "linked_to_type": decision.upload.linked_to_type,
            "recorded_outcome": flip.recorded,
            "new_outcome": flip.verdict.outcome,
            "recorded_policy": decision.policy_version or "",
            "scanner": decision.scanner or "",
            "model_version": decision.model_version or "",
            "scores": json.dumps(dict(sorted(decision.scores.items()))),
            "reasons": "; ".join(flip.verdict.reasons),
        }
        self._rows.writerow({column: _no_formula(printable(cell)) for column, cell in row.items()})


@contextmanager
def flip_file(path: Path) -> Iterator[FlipFile]:
    """A file that is there only once it is whole; raises ConfigurationError where it cannot be written."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            yield FlipFile(file)
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(f"--csv: {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def show_changes(console: Console, backtest: Backtest) -> None:
    """Prints how many decisions go from which outcome to which; those that flip come first."""
    table = Table("recorded", "new", title="Outcomes", box=SIMPLE_HEAD)
    table.add_column("decisions", justify="right")
    for (recorded, new), count in sorted(
        backtest.changes.items(), key=lambda change: (change[0][0] is change[0][1], -change[1], change[0])
    ):
        table.add_row(recorded, new, f"{count:,}", style="dim" if recorded is new else "bold")
    console.print(table)


def show_flips(console: Console, flips: list[Flip], count: int) -> None:
    """Prints some flips one by one."""
    title = "Flips" if len(flips) == count else f"Flips: {len(flips)} of {count:,}"
    table = Table("media_id", "linked_to_type", "recorded", "new", "why", title=title, box=SIMPLE_HEAD)
    table.columns[0].no_wrap = True
    for flip in flips:
        table.add_row(
            str(flip.decision.media_id),
            flip.decision.upload.linked_to_type,
            flip.recorded,
            flip.verdict.outcome,
            Text(printable("; ".join(flip.verdict.reasons) or "every score is below hold")),
        )
    console.print(table)


def printable(text: str) -> str:
    """The text without what would steer a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _no_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
