"""What the commands about consumer groups share: which groups, and how far they are."""

from typing import Annotated

import typer

from mediagate.cli.options import settings_with
from mediagate.offsets.progress import Progress, own_groups, progress_of
from mediagate.settings import GroupSettings
from mediagate.topics import load_topics

GroupsOption = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Repeatable; unset is the streams' and the sinks'."),
]


async def read_groups(names: list[str] | None, bootstrap_server: str | None) -> list[Progress]:
    """Each group's progress; Mediagate's own groups where none is named."""
    settings = settings_with(GroupSettings, bootstrap_server)
    own = own_groups(settings, load_topics(settings.topics_file))
    return [
        await progress_of(settings.kafka_bootstrap_servers, name, own.get(name, frozenset()))
        for name in dict.fromkeys(names or own)
    ]
