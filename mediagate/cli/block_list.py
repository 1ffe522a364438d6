"""`mediagate blocklist`: the hashes that are never published."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import open as open_with_progress
from rich.table import Table

from mediagate.block_list import Kind, parse_entry, read_entries, split_kind
from mediagate.block_list.table import BlockListTable, Listed
from mediagate.database import connect
from mediagate.datetimes import shown_time
from mediagate.errors import ConfigurationError
from mediagate.process import check_database
from mediagate.settings import DatabaseSettings, load_settings

MOST_SHOWN = 1000

Result = TypeVar("Result")

console = Console(highlight=False)
progress_console = Console(stderr=True)

HashArgument = Annotated[str, typer.Argument(metavar="HASH", help="Hex digits; `pdq:…` says the kind too.")]
KindOption = Annotated[Kind | None, typer.Option("--kind", help="What the hashes are.")]
NoteOption = Annotated[str, typer.Option("--note", help="What to say about them in decisions.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    commands = typer.Typer(no_args_is_help=True, help="The hashes that are never published.")
    app.add_typer(commands, name="blocklist")

    @commands.command("import")
    def import_command(
        file: Annotated[Path, typer.Argument(help="One hash a line, or CSV: columns hash, kind, note.")],
        kind: KindOption = None,
        note: NoteOption = "",
    ) -> None:
        """Adds the hashes of a file: all of them, or none if one is faulty."""
        with _lines(file) as lines:
            entries = read_entries(lines, str(file), kind, note)
            imported = _run(lambda table: table.add(entries, _now()))
        console.print(f"{imported.new} new, {imported.known} known already.")

    @commands.command()
    def add(digits: HashArgument, kind: KindOption = None, note: NoteOption = "") -> None:
        """Adds one hash."""
        with _one_line():
            entry = parse_entry(digits, kind, note)
        imported = _run(lambda table: table.add([entry], _now()))
        console.print("Added." if imported.new else "Known already: nothing is changed.")

    @commands.command()
    def remove(digits: HashArgument, kind: KindOption = None) -> None:
        """Takes a hash off the list."""
        with _one_line():
            kind, digits = split_kind(digits, kind)
        if not _run(lambda table: table.remove(kind, digits)):
            raise ConfigurationError(f"not on the block list: {digits}")
        console.print("Removed.")

    @commands.command()
    def resume(digits: HashArgument, kind: KindOption = None) -> None:
        """Has a suspended hash obeyed again; its matches count anew."""
        with _one_line():
            kind, digits = split_kind(digits, kind)
        if not _run(lambda table: table.resume(kind, digits, _now())):
            raise ConfigurationError(f"not suspended: {digits}")
        console.print("Resumed.")

    @commands.command("list")
    def list_command(
        kind: KindOption = None,
        suspended: Annotated[
            bool, typer.Option("--suspended", help="Only those that are not obeyed.")
        ] = False,
    ) -> None:
        """Shows the newest entries and what they matched."""
        _show(
            _run(lambda table: table.newest(kind, suspended=suspended, count=MOST_SHOWN, now=_now())),
            _run(lambda table: table.size(kind, suspended=suspended)),
        )


def _run(use: Callable[[BlockListTable], Awaitable[Result]]) -> Result:
    """What `use` gives on the table of the configured database."""

    async def on_table() -> Result:
        settings = load_settings(DatabaseSettings)
        await check_database(settings)
        async with await connect(str(settings.database_url), size=1) as database:
            return await use(BlockListTable(database))

    return asyncio.run(on_table())


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[str]]:
    """The file's lines, with a bar on a terminal; what is not UTF-8 fails as a field does."""
    try:
        with open_with_progress(
            file,
            "r",
            encoding="utf-8-sig",
            errors="surrogateescape",
            newline="",
            description=escape(file.name),
            console=progress_console,
            transient=True,
            disable=not progress_console.is_terminal,
        ) as lines:
            yield lines
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _show(entries: list[Listed], size: int) -> None:
    if not entries:
        console.print("No entries.")
        return
    table = Table("kind", "hash", "note", "added", "last hour", "matches", "suspended since")
    for column in table.columns:
        column.overflow = "fold"
    for entry in entries:
        table.add_row(
            entry.kind,
            entry.hash,
            escape(entry.note),
            shown_time(entry.added_at),
            str(entry.matches_last_hour),
            str(entry.matches),
            shown_time(entry.suspended_at) if entry.suspended_at else "",
        )
    console.print(table)
    if size > len(entries):
        console.print(f"The newest {len(entries)} of {size}.")


def _now() -> datetime:
    return datetime.now(UTC)
