"""`mediagate brakes`: which kinds of decisions are held, and letting them go on."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mediagate.database import connect, load_queries, meanings
from mediagate.errors import ConfigurationError
from mediagate.media import MediaType
from mediagate.settings import DatabaseSettings, load_settings

QUERIES = load_queries(Path(__file__).with_name("brakes.sql"))

console = Console()


class Braked(StrEnum):
    """The kinds of decisions that a brake can hold."""

    APPROVED = "approved"
    REJECTED = "rejected"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    brakes = typer.Typer(no_args_is_help=True, help="Decisions held because their share is unusual.")
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
    def resume(media_type: MediaType, outcome: Braked) -> None:
        """Lets decisions of a kind be emitted again; those that were held stay held."""
        if not asyncio.run(_resume(media_type, outcome)):
            raise ConfigurationError(f"no brake is engaged on {outcome} {media_type}s")
        console.print(f"{outcome.capitalize()} {media_type}s are emitted again.")


async def _brakes(*, everything: bool) -> list[Any]:
    with meanings():
        async with await connect(str(load_settings(DatabaseSettings).database_url), 1) as pool:
            return [row async for row in QUERIES.brakes(pool, everything=everything)]


async def _resume(media_type: MediaType, outcome: Braked) -> bool:
    with meanings():
        async with await connect(str(load_settings(DatabaseSettings).database_url), 1) as pool:
            done = await QUERIES.resume(pool, media_type=media_type, outcome=outcome, now=datetime.now(UTC))
            return not str(done).endswith(" 0")


def _table(rows: list[Any]) -> Table:
    table = Table("media type", "outcome", "share", "usual", "decisions", "engaged", "resumed")
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
