"""`mediagate brakes`: what is held or stopped because its share is unusual, and letting it go on."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from mediagate.database import connect, load_queries, meanings
from mediagate.errors import ConfigurationError
from mediagate.settings import DatabaseSettings, load_settings

QUERIES = load_queries(Path(__file__).with_name("brakes.sql"))

console = Console()


class Braked(StrEnum):
    """What a brake can hold: a kind of decisions, or a stream where too much is a dead letter."""

    APPROVED = "approved"
    REJECTED = "rejected"
    DEAD_LETTER = "dead_letter"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    brakes = typer.Typer(no_args_is_help=True, help="What is held or stopped because its share is unusual.")
    app.add_typer(brakes, name="brakes")

    @brakes.command("list")
    def list_command(
        everything: Annotated[bool, typer.Option("--all", help="Those that were resumed, too.")] = False,
    ) -> None:
        """Shows the brakes that are engaged."""
        rows = asyncio.run(_brakes(everything=everything))
        if rows:
            console.print(_table(rows))
        else:
            console.print("No brake is engaged." if not everything else "No brake was ever engaged.")

    @brakes.command()
    def resume(
        stream: Annotated[str, typer.Argument(metavar="STREAM", help="image, video, or the sinks' topic.")],
        outcome: Braked,
    ) -> None:
        """Lets decisions of a kind be emitted again (those that were held stay held), or a stream go on."""
        if not asyncio.run(_resume(stream, outcome)):
            raise ConfigurationError(f"no brake is engaged on {_shown(stream, outcome)}")
        console.print(
            f"{stream} goes on; dead letters are counted anew."
            if outcome is Braked.DEAD_LETTER
            else f"{_shown(stream, outcome).capitalize()} are emitted again.",
            markup=False,
        )


async def _brakes(*, everything: bool) -> list[Any]:
    with meanings():
        async with await connect(str(load_settings(DatabaseSettings).database_url), 1) as pool:
            return [row async for row in QUERIES.brakes(pool, everything=everything)]


async def _resume(stream: str, outcome: Braked) -> bool:
    with meanings():
        async with await connect(str(load_settings(DatabaseSettings).database_url), 1) as pool:
            done = await QUERIES.resume(pool, stream=stream, outcome=outcome, now=datetime.now(UTC))
            return not str(done).endswith(" 0")


def _shown(stream: str, outcome: Braked) -> str:
    return f"dead letters of {stream}" if outcome is Braked.DEAD_LETTER else f"{outcome} {stream}s"


def _table(rows: list[Any]) -> Table:
    table = Table(Column("stream", overflow="fold"), "outcome", "share", "usual", "of", "engaged", "resumed")
    for row in rows:
        table.add_row(
            row["media_type"],
            row["outcome"],
            f"{row['share']:.3f}",
            f"{row['low']:g} to {row['high']:g}",
            str(row["decisions"]),
            f"{row['engaged_at']:%Y-%m-%d %H:%M:%S}",
            f"{row['resumed_at']:%Y-%m-%d %H:%M:%S}" if row["resumed_at"] else "",
        )
    return table
