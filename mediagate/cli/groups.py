"""What the commands about consumer groups share: which groups, and how the broker is found."""

from typing import Annotated

import typer

from mediagate.offsets.progress import Progress, own_groups, progress_of
from mediagate.settings import GroupSettings, load_settings
from mediagate.topics import load_topics

BootstrapOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Kafka brokers; unset is KAFKA_BOOTSTRAP_SERVERS."),
]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Repeatable; unset is the streams' and the sinks'."),
]


def group_settings(bootstrap_server: str | None) -> GroupSettings:
    """The settings, with the brokers that the command line names."""
    given = {"kafka_bootstrap_servers": bootstrap_server} if bootstrap_server else {}
    return load_settings(GroupSettings, **given)


async def read_groups(names: list[str] | None, bootstrap_server: str | None) -> list[Progress]:
    """Each group's progress; Mediagate's own groups where none is named."""
    settings = group_settings(bootstrap_server)
    own = own_groups(settings, load_topics(settings.topics_file))
    return [
        await progress_of(settings.kafka_bootstrap_servers, name, own.get(name, frozenset()))
        for name in dict.fromkeys(names or own)
    ]
