"""`mediagate events`: what is published about the events."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from mediagate.asyncapi import asyncapi_yaml
from mediagate.event_schemas import SUMMARIES, event_type_of, schema_of, short_name
from mediagate.events import EventType
from mediagate.settings import TopicFileSettings, load_settings
from mediagate.topics import load_topics

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    events = typer.Typer(no_args_is_help=True, help="The events' schemas, for those who send or read them.")
    app.add_typer(events, name="events")

    @events.command()
    def schema(
        name: Annotated[
            str | None, typer.Argument(metavar="NAME", help="An event type, such as published.")
        ] = None,
    ) -> None:
        """Prints the JSON Schema of an event type; without NAME, lists the types."""
        if name is None:
            console.print(_table())
        else:
            typer.echo(json.dumps(schema_of(event_type_of(name)), indent=2))

    @events.command()
    def asyncapi() -> None:
        """Prints all topics as an AsyncAPI 3 document."""
        typer.echo(asyncapi_yaml(load_topics(load_settings(TopicFileSettings).topics_file)), nl=False)


def _table() -> Table:
    table = Table("name", Column("ce_type", no_wrap=True), "what it says")
    for event_type in EventType:
        table.add_row(short_name(event_type), event_type.value, SUMMARIES[event_type])
    return table
