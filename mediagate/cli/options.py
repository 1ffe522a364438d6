"""What operators' commands share: shown first or done, by whom, on which brokers."""

from typing import Annotated, TypeVar

import typer

from mediagate.errors import ConfigurationError
from mediagate.settings import TopicSettings, load_settings

AnyTopicSettings = TypeVar("AnyTopicSettings", bound=TopicSettings)

BootstrapOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Kafka brokers; unset is KAFKA_BOOTSTRAP_SERVERS."),
]
OperatorOption = Annotated[
    str | None, typer.Option("--operator", metavar="NAME", help="Who does it; unset is the login name.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what it would do; the default.")]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Do it.")]


def settings_with(model: type[AnyTopicSettings], bootstrap_server: str | None) -> AnyTopicSettings:
    """The settings, with the brokers that the command line names."""
    given = {"kafka_bootstrap_servers": bootstrap_server} if bootstrap_server else {}
    return load_settings(model, **given)


def executes(dry_run: bool, execute: bool) -> bool:
    """Whether to do it; raises ConfigurationError where both are asked for."""
    if dry_run and execute:
        raise ConfigurationError("--dry-run and --execute exclude each other")
    return execute
