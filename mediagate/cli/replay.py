"""`mediagate replay`: events of completed uploads once more, what it would do shown first."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from typing import Annotated
from uuid import UUID, uuid4

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mediagate.cli.options import (
    BootstrapOption,
    DryRunOption,
    ExecuteOption,
    OperatorOption,
    executes,
    settings_with,
)
from mediagate.dead_letter_queue.options import parse_rate
from mediagate.errors import ConfigurationError
from mediagate.media import MediaType
from mediagate.offsets import shown
from mediagate.process import with_signals
from mediagate.replay import EXPLAINED, STATES, Selection, Tally
from mediagate.replay.options import Options, Wanted, parse_replay_id
from mediagate.replay.run import Advance
from mediagate.replay.session import open_session
from mediagate.settings import StreamsSettings
from mediagate.topics import load_topics

console = Console(highlight=False)
notices = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for; without `wanted`, to go on with the replay."""

    replay_id: UUID
    wanted: Wanted | None
    rate: int | None
    operator: str
    execute: bool


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def replay(
        topic: Annotated[
            list[str] | None,
            typer.Option(
                metavar="TOPIC[:0,1]",
                help="A topic of completed uploads, or some of its partitions. Repeatable.",
            ),
        ] = None,
        from_offset: Annotated[
            int | None, typer.Option(metavar="N", help="From this offset of each partition on.")
        ] = None,
        from_datetime: Annotated[
            str | None,
            typer.Option(
                metavar="DATETIME",
                help="From the first event since YYYY-MM-DDTHH:mm:SS.sss on, UTC where it names no zone.",
            ),
        ] = None,
        to_offset: Annotated[
            int | None, typer.Option(metavar="N", help="To before this offset; unset is the log's end now.")
        ] = None,
        to_datetime: Annotated[
            str | None, typer.Option(metavar="DATETIME", help="To before the first event since then.")
        ] = None,
        partition: Annotated[
            list[int] | None, typer.Option(metavar="N", help="Only these partitions. Repeatable.")
        ] = None,
        media_id: Annotated[
            list[str] | None, typer.Option(metavar="ID", help="Only of these uploads. Repeatable.")
        ] = None,
        state: Annotated[
            list[str] | None,
            typer.Option(
                metavar="STATE",
                help="Only of uploads in these states; `unknown` are those without a row. Repeatable.",
            ),
        ] = None,
        rate: Annotated[str | None, typer.Option(metavar="N/s", help="Most events a second.")] = None,
        limit: Annotated[int | None, typer.Option(metavar="N", help="Most events to publish.")] = None,
        force_rescan: Annotated[
            bool,
            typer.Option("--force-rescan", help="Have uploads at their end decided anew, where they are."),
        ] = False,
        resume: Annotated[
            str | None, typer.Option(metavar="REPLAY", help="Go on with a replay that was interrupted.")
        ] = None,
        operator: OperatorOption = None,
        dry_run: DryRunOption = False,
        execute: ExecuteOption = False,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows what publishing events of completed uploads again would do, and with --execute does it.

        Uploads at their end stay as they are, unless --force-rescan has them decided anew.

        Ctrl-C is safe: it says how to go on.
        """
        options = Options(
            topic=tuple(topic or ()),
            partition=tuple(partition or ()),
            from_offset=from_offset,
            from_datetime=from_datetime,
            to_offset=to_offset,
            to_datetime=to_datetime,
            media_id=tuple(media_id or ()),
            state=tuple(state or ()),
            limit=limit,
            force_rescan=force_rescan,
        )
        done = executes(dry_run, execute)
        if resume is not None and options.given:
            raise ConfigurationError(f"--resume knows what is replayed: without {', '.join(options.given)}")
        resumed = None if resume is None else parse_replay_id(resume)
        most = parse_rate(rate)
        settings = settings_with(StreamsSettings, bootstrap_server)
        topics = load_topics(settings.topics_file)
        media_types = {topics.upload_completed(each).name: each for each in MediaType}
        wanted = options.wanted(media_types) if resumed is None else None
        order = Order(resumed or uuid4(), wanted, most, operator or getuser(), done)
        asyncio.run(with_signals(lambda stop: _replay(stop, settings, media_types, order)))


async def _replay(
    stop: asyncio.Event, settings: StreamsSettings, media_types: Mapping[str, MediaType], order: Order
) -> None:
    async with open_session(settings, media_types, stop) as session:
        replay, warnings = await session.find(order.replay_id, order.wanted)
        for warning in warnings:
            notices.print(f"[yellow]{escape(warning)}[/yellow]", soft_wrap=True)
        with _bar("selecting", replay.selection.events) as advance:
            tally = await session.count(replay, advance)
        _show(replay.selection, tally)
        events = tally.selected.total()
        if not order.execute:
            what = _events(events, " more" if replay.published else "")
            console.print(
                f"[bold]Dry run[/bold]: nothing is published. --execute publishes {what}.", soft_wrap=True
            )
            return
        console.print(f"Publishing as replay {replay.id}.", soft_wrap=True)
        with _bar("publishing", events) as advance:
            published = await session.carry_out(replay, order.rate, order.operator, events, advance)
    console.print(f"[bold]Published[/bold]: {_events(published)}.")


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    """A progress bar on a terminal."""
    columns = (TextColumn(f"{what:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notices, transient=True, disable=not notices.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _show(selection: Selection, tally: Tally) -> None:
    console.print(_partitions_table(selection, tally))
    if tally.states:
        console.print(_effects_table(tally))
    for reason, number in tally.reasons.most_common():
        why = f" ({EXPLAINED[reason]})" if reason in EXPLAINED else ""
        console.print(f"Left out: {number:,} {reason}{why}, first {tally.examples[reason]}", soft_wrap=True)


def _partitions_table(selection: Selection, tally: Tally) -> Table:
    table = _table("partition", ("first\noffset", "end\noffset", "events", "left\nout", "replayed"))
    for span in selection.spans:
        table.add_row(
            shown(span.partition),
            str(span.first),
            str(span.end),
            f"{span.events:,}",
            f"{tally.left_out[span.partition]:,}",
            f"{tally.selected[span.partition]:,}",
        )
    table.add_section()
    totals = selection.events, tally.left_out.total(), tally.selected.total()
    table.add_row("all", "", "", *(f"{number:,}" for number in totals), style="bold")
    return table


def _effects_table(tally: Tally) -> Table:
    columns = tally.states, tally.settled, tally.known, tally.scans
    table = _table("upload is", ("replayed", "change\nnothing", "verdict\nknown", "scanned\nat most"))
    for state in STATES:
        if tally.states[state]:
            table.add_row(state, *(f"{column[state]:,}" for column in columns))
    table.add_section()
    table.add_row("all", *(f"{column.total():,}" for column in columns), style="bold")
    return table


def _table(first: str, numbers: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _events(count: int, more: str = "") -> str:
    return f"{count:,}{more} event{'' if count == 1 else 's'}"
