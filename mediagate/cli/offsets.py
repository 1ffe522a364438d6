"""`mediagate offsets`: where consumer groups stand, and setting that, as kafka-consumer-groups does."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mediagate.cli.groups import GroupsOption, read_groups
from mediagate.cli.options import BootstrapOption, DryRunOption, ExecuteOption, executes, settings_with
from mediagate.errors import ConfigurationError
from mediagate.offsets import Move, shown
from mediagate.offsets.arguments import written_csv
from mediagate.offsets.group import open_group
from mediagate.offsets.options import Options
from mediagate.offsets.progress import Progress, own_groups
from mediagate.offsets.reset import Effect, Reset, effect_of, refusal
from mediagate.settings import GroupSettings
from mediagate.topics import load_topics

console = Console(highlight=False)
notices = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    offsets = typer.Typer(no_args_is_help=True, help="Where consumer groups stand, and setting that.")
    app.add_typer(offsets, name="offsets")

    @offsets.command()
    def show(group: GroupsOption = None, bootstrap_server: BootstrapOption = None) -> None:
        """Shows each partition's committed offset, log end, lag, and the member that has it."""
        for progress in asyncio.run(read_groups(group, bootstrap_server)):
            console.print(_progress_table(progress))

    @offsets.command()
    def reset(
        group: Annotated[str, typer.Option(metavar="GROUP", help="Whose; nobody may be in it.")],
        topic: Annotated[
            list[str] | None,
            typer.Option(metavar="TOPIC[:0,1]", help="A topic, or some of its partitions. Repeatable."),
        ] = None,
        all_topics: Annotated[
            bool, typer.Option("--all-topics", help="Every partition that the group has committed.")
        ] = False,
        to_earliest: Annotated[bool, typer.Option("--to-earliest", help="The log's beginning.")] = False,
        to_latest: Annotated[bool, typer.Option("--to-latest", help="The log's end.")] = False,
        to_current: Annotated[
            bool,
            typer.Option("--to-current", help="The committed offset; the log's end where there is none."),
        ] = False,
        to_offset: Annotated[int | None, typer.Option(metavar="N", help="This offset.")] = None,
        to_datetime: Annotated[
            str | None,
            typer.Option(
                metavar="DATETIME",
                help="The first event since YYYY-MM-DDTHH:mm:SS.sss, UTC where it names no zone.",
            ),
        ] = None,
        by_duration: Annotated[
            str | None, typer.Option(metavar="PnDTnHnMnS", help="The first event of the time until now.")
        ] = None,
        shift_by: Annotated[
            int | None,
            typer.Option(metavar="N", help="So many after the committed offset, or with -N before."),
        ] = None,
        from_file: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="The offsets of a CSV as --export prints it."),
        ] = None,
        dry_run: DryRunOption = False,
        execute: ExecuteOption = False,
        export: Annotated[
            bool, typer.Option("--export", help="Print topic,partition,offset as CSV, no table.")
        ] = False,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows what setting a group's offsets would do, and with --execute sets them.

        Exactly one of --to-..., --by-duration, --shift-by, --from-file says where to.

        An offset that the log does not have becomes the nearest one.

        What is read again changes nothing for uploads at their end.
        """
        options = Options(
            topic=topic or (),
            all_topics=all_topics,
            to_earliest=to_earliest,
            to_latest=to_latest,
            to_current=to_current,
            to_offset=to_offset,
            to_datetime=to_datetime,
            by_duration=by_duration,
            shift_by=shift_by,
            from_file=from_file,
        )
        done = executes(dry_run, execute)
        asked = options.reset(group, datetime.now(UTC))
        settings = settings_with(GroupSettings, bootstrap_server)
        asyncio.run(_reset(settings, group, asked, execute=done, export=export))


async def _reset(settings: GroupSettings, name: str, asked: Reset, *, execute: bool, export: bool) -> None:
    own = own_groups(settings, load_topics(settings.topics_file))
    async with open_group(settings.kafka_bootstrap_servers, name) as group:
        effect = await effect_of(asked, group, own.get(name, frozenset()))
        if not export:
            console.print(_effect_table(name, effect))
        _warn(name, effect)
        if refused := refusal(name, effect.membership):
            raise ConfigurationError(refused)
        if execute:
            await group.commit({move.partition: move.new for move in effect.moves})
    if export:
        typer.echo(written_csv(effect.moves), nl=False)
    _tell(name, effect, execute=execute, own=name in own, to=notices if export else console)


def _warn(name: str, effect: Effect) -> None:
    for warning in filter(None, map(Move.warning, effect.moves)):
        notices.print(f"[yellow]{warning}[/yellow]", soft_wrap=True)
    if not effect.known:
        notices.print(f"[yellow]group {escape(name)} has committed nothing so far[/yellow]", soft_wrap=True)


def _tell(name: str, effect: Effect, *, execute: bool, own: bool, to: Console) -> None:
    count = len(effect.moves)
    what = f"{count} partition{'' if count == 1 else 's'} of group {escape(name)}"
    to.print(
        f"[bold]Set[/bold] the offsets of {what}."
        if execute
        else f"[bold]Dry run[/bold]: nothing is changed. --execute sets the offsets of {what}.",
        soft_wrap=True,
    )
    if own and any(move.read_again for move in effect.moves):
        to.print("What is read again changes nothing for uploads at their end.")


def _progress_table(progress: Progress) -> Table:
    membership = progress.membership
    count = len(membership.members)
    members = f"{count} member{'' if count == 1 else 's'}"
    table = _table(f"{progress.group}: {membership.state}, {members}", ("committed", "log\nend", "lag"))
    table.add_column("member", overflow="fold")
    for partition, position in progress.positions.items():
        table.add_row(
            shown(partition),
            _offset(position.committed),
            _offset(position.end),
            f"{position.lag:,}",
            escape(str(membership.owner(partition) or "")),
        )
    table.add_section()
    table.add_row("all", "", "", f"{progress.lag:,}", "", style="bold")
    return table


def _effect_table(name: str, effect: Effect) -> Table:
    table = _table(name, ("old\noffset", "new\noffset", "log\nend", "read\nagain", "skipped"))
    for move in effect.moves:
        table.add_row(
            shown(move.partition),
            _offset(move.position.committed),
            _offset(move.new),
            _offset(move.position.end),
            f"{move.read_again:,}",
            f"{move.skipped:,}",
        )
    table.add_section()
    read_again = sum(move.read_again for move in effect.moves)
    skipped = sum(move.skipped for move in effect.moves)
    table.add_row("all", "", "", "", f"{read_again:,}", f"{skipped:,}", style="bold")
    return table


def _table(title: str, numbers: Sequence[str]) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("partition", no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _offset(offset: int | None) -> str:
    return "-" if offset is None else str(offset)
