"""`mediagate migrate` and `mediagate topics`: what the processes expect to find."""

import asyncio

import typer
from rich.console import Console
from rich.table import Table

from mediagate.errors import ConfigurationError
from mediagate.migrations import migrate
from mediagate.settings import DatabaseSettings, Settings, TopicSettings, load_settings
from mediagate.storage import S3
from mediagate.topics import Change, TopicAdmin, load_topics

console = Console()


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    topics = typer.Typer(no_args_is_help=True, help="Compares topics.yaml with the broker, and applies it.")
    app.add_typer(topics, name="topics")

    @app.command("migrate")
    def migrate_command() -> None:
        """Brings the database to the newest revision."""
        asyncio.run(migrate(str(load_settings(DatabaseSettings).database_url)))
        console.print("The database is at the newest revision.")

    buckets = typer.Typer(
        no_args_is_help=True, help="The buckets that uploads and published objects stand in."
    )
    app.add_typer(buckets, name="buckets")

    @buckets.command()
    def create() -> None:
        """Makes the buckets that are missing."""
        created = asyncio.run(_create_buckets())
        console.print("\n".join(f"Created {name}." for name in created) or "Every bucket is there.")

    @topics.command()
    def plan() -> None:
        """Shows what `apply` would change."""
        _show(asyncio.run(_changes(apply=False)))

    @topics.command()
    def apply() -> None:
        """Makes the broker's topics as declared."""
        changes = asyncio.run(_changes(apply=True))
        _show(changes)
        impossible = [change.topic.name for change in changes if not change.possible]
        if impossible:
            raise ConfigurationError(f"partitions cannot be taken away: {', '.join(impossible)}")


async def _changes(*, apply: bool) -> list[Change]:
    settings = load_settings(TopicSettings)
    async with TopicAdmin(settings.kafka_bootstrap_servers) as admin:
        changes = await admin.plan(load_topics(settings.topics_file))
        if apply:
            await admin.apply(changes)
    return changes


async def _create_buckets() -> list[str]:
    settings = load_settings(Settings)
    store = S3(settings)
    try:
        missing = await store.missing_buckets(settings.all_buckets())
        await store.create_buckets(missing)
    finally:
        store.close()
    return missing


def _show(changes: list[Change]) -> None:
    if not changes:
        console.print("Every topic is as declared.")
        return
    table = Table("topic", "change", "now", "declared")
    for change in changes:
        table.add_row(
            change.topic.name,
            change.action,
            change.current,
            change.wanted + ("" if change.possible else " (impossible)"),
        )
    console.print(table)
