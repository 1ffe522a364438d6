"""`mediagate gateway`, `streams`, `sinks`: each process alone."""

import os
import sys

import typer


def register(app: typer.Typer) -> None:
    """Adds a command per process; it becomes that process, so that signals reach it."""

    @app.command()
    def gateway() -> None:
        """Runs the HTTP gateway: upload requests in, completed uploads out."""
        _become("gateway")

    @app.command()
    def streams() -> None:
        """Runs a streams worker: windows, scans, decisions; and recovery."""
        _become("streams")

    @app.command()
    def sinks() -> None:
        """Runs a sinks worker: moves objects and writes records."""
        _become("sinks")


def _become(module: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606  no shell is what is wanted
