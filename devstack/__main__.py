"""`python -m devstack`: run the embedded services, or fetch what they need."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from devstack import DEFAULT_DIRECTORY, DevstackError, Stack, jars

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Directory = Annotated[Path, typer.Option(help="Where data, logs and generated credentials are kept.")]


@app.command()
def up(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Run Kafka, PostgreSQL and S3 until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Stack(directory)
    try:
        for name, value in stack.start(typer.echo).environment().items():
            typer.echo(f"{name}={value}")
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo("stopping")
    finally:
        stack.stop()


@app.command()
def fetch() -> None:
    """Fetch the jars into the cache, unless they are there."""
    jars.fetch(typer.echo)


@app.command()
def lock() -> None:
    """Resolve the jars anew and write jars.lock."""
    jars.lock()


def main() -> None:
    """Run the command line; an expected failure is one line."""
    try:
        app()
    except DevstackError as error:
        typer.echo(f"devstack: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
