"""The `mediagate` command."""

import sys

import typer

from mediagate.cli import (
    block_list,
    brakes,
    dlq,
    doctor,
    events,
    jobs,
    lag,
    offsets,
    policy,
    processes,
    replay,
    schema,
    up,
)
from mediagate.errors import MediagateError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The moderation gate between a user's upload and the public bucket.",
)
processes.register(app)
schema.register(app)
policy.register(app)
block_list.register(app)
brakes.register(app)
doctor.register(app)
events.register(app)
offsets.register(app)
lag.register(app)
dlq.register(app)
jobs.register(app)
replay.register(app)
up.register(app)


def main() -> None:
    """Runs the command line; a failure is one line and exit code 1."""
    try:
        app()
    except MediagateError as error:
        sys.stderr.write(f"mediagate: {error}\n")
        sys.exit(1)
