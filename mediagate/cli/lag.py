"""`mediagate lag`: how far the consumer groups are behind."""

import asyncio

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mediagate.cli.groups import GroupsOption, read_groups
from mediagate.cli.options import BootstrapOption
from mediagate.offsets.progress import Progress

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def lag(group: GroupsOption = None, bootstrap_server: BootstrapOption = None) -> None:
        """Shows how many events each group has not finished, by topic and partition."""
        console.print(_table(asyncio.run(read_groups(group, bootstrap_server))))


def _table(groups: list[Progress]) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("group", overflow="fold")
    table.add_column("topic", overflow="fold")
    table.add_column("partition", justify="right")
    table.add_column("lag", justify="right")
    for progress in groups:
        for partition, position in progress.positions.items():
            table.add_row(
                escape(progress.group), partition.topic, str(partition.partition), f"{position.lag:,}"
            )
        table.add_row(escape(progress.group), "all", "", f"{progress.lag:,}", style="bold", end_section=True)
    return table
