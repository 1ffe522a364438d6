"""The tables of `mediagate dlq`."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mediagate.datetimes import shown_time
from mediagate.dead_letter_queue.redrive import Found
from mediagate.printable import shortened

ERROR_CHARACTERS = 80


def letters_table(shown: Sequence[Found], earlier: Mapping[str, int]) -> Table:
    """One row for each letter; `earlier` counts redrives by origin."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("letter", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("origin", overflow="fold")
    table.add_column("reason and error", overflow="fold")
    table.add_column("tries", justify="right", no_wrap=True)
    for each in shown:
        letter = each.letter
        error = shortened(letter.error, ERROR_CHARACTERS)
        table.add_row(
            f"{letter.position}\n{each.state}",
            shown_time(letter.at).replace(" ", "\n"),
            escape(letter.origin),
            escape(f"{letter.reason}\n{error}" if error else letter.reason),
            str(letter.attempts + earlier.get(letter.origin, 0)),
        )
    return table


def totals_table(by_reason: Counter[str]) -> Table:
    """How many letters there are of each reason."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("reason", overflow="fold")
    table.add_column("letters", justify="right")
    for reason, count in sorted(by_reason.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(escape(reason), f"{count:,}")
    table.add_section()
    table.add_row("all", f"{by_reason.total():,}", style="bold")
    return table


def effect_table(going: Counter[tuple[str, str]]) -> Table:
    """How many letters are meant, by reason and the topic that they came from."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("reason", overflow="fold")
    table.add_column("origin", overflow="fold")
    table.add_column("letters", justify="right")
    for (reason, topic), count in sorted(going.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(escape(reason), escape(topic), f"{count:,}")
    table.add_section()
    table.add_row("all", "", f"{going.total():,}", style="bold")
    return table


def letters_of(count: int) -> str:
    """So many letters, in words."""
    return f"{count:,} letter{'' if count == 1 else 's'}"
