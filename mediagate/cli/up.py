"""`mediagate up`: the whole system in the foreground."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import jwt
import typer
from rich.console import Console

from mediagate.errors import ConfigurationError, StopError
from mediagate.migrations import migrate
from mediagate.process import with_signals
from mediagate.settings import GatewaySettings, SinksSettings, StreamsSettings, load_settings
from mediagate.storage import S3
from mediagate.supervisor import Program, Supervisor
from mediagate.topics import TopicAdmin, load_topics

if TYPE_CHECKING:
    from devstack.stack import Stack

TOKEN_LIFE = timedelta(days=30)
DEVSTACK = Path(".devstack")
CHECK_INTERVAL = 1.0

console = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def up(
        embedded: Annotated[
            bool, typer.Option("--embedded", help="Start Kafka, PostgreSQL and S3 too, all on 127.0.0.1.")
        ] = False,
    ) -> None:
        """Runs gateway, streams and sinks until Ctrl-C, starting again what ends."""
        if embedded:
            _up_embedded()
        else:
            asyncio.run(with_signals(lambda stop: _supervise(stop, dict(os.environ), logs=None)))


def _up_embedded() -> None:
    try:
        from devstack import DevstackError
        from devstack.stack import Stack
    except ImportError as error:
        raise ConfigurationError(
            f"the embedded services need a checkout of the repository and its development packages: {error}"
        ) from error
    stack = Stack(DEVSTACK)
    try:
        endpoints = stack.start(lambda line: console.print(f"[dim]{line}[/dim]")).environment()
        os.environ.update(endpoints)
        _choose_ports(("PORT", "STREAMS_PORT", "SINKS_PORT"))
        os.environ.setdefault("JWT_SECRET", _secret(DEVSTACK / "jwt-secret"))
        asyncio.run(with_signals(lambda stop: _prepare_and_supervise(stop, stack, endpoints)))
    except DevstackError as error:
        raise StopError(str(error)) from error
    finally:
        stack.stop()


async def _prepare_and_supervise(stop: asyncio.Event, stack: "Stack", endpoints: dict[str, str]) -> None:
    settings = load_settings(GatewaySettings)
    await migrate(str(settings.database_url))
    async with TopicAdmin(settings.kafka_bootstrap_servers) as admin:
        await admin.apply(await admin.plan(load_topics(settings.topics_file)))
    store = S3(settings)
    await store.create_buckets(settings.all_buckets())
    store.close()
    _write_environment(DEVSTACK / "env", settings, endpoints)
    logs = DEVSTACK / "logs"
    logs.mkdir(exist_ok=True)
    keeping = asyncio.create_task(_keep_services(stack))
    try:
        await _supervise(stop, dict(os.environ), logs)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def _keep_services(stack: "Stack") -> None:
    """Starts again what ended of the embedded services."""
    from devstack import DevstackError

    while True:
        await asyncio.sleep(CHECK_INTERVAL)
        try:
            for name in await asyncio.to_thread(stack.start_again):
                console.print(f"{name} had ended and was started again")
        except DevstackError as error:
            console.print(f"[red]{error}[/red]")


async def _supervise(stop: asyncio.Event, environment: dict[str, str], logs: Path | None) -> None:
    gateway = load_settings(GatewaySettings)
    ports = {
        "gateway": gateway.port,
        "streams": load_settings(StreamsSettings).streams_port,
        "sinks": load_settings(SinksSettings).sinks_port,
    }
    programs = [
        Program(
            name,
            ["-m", name],
            f"http://{gateway.host}:{port}/readyz",
            logs / f"{name}.log" if logs else None,
        )
        for name, port in ports.items()
    ]

    def announce() -> None:
        for name, port in ports.items():
            console.print(f"{name:<8} http://{gateway.host}:{port}")
        if logs:
            console.print(f"settings {DEVSTACK / 'env'}\nlogs     {logs}")
        console.print("[bold green]Mediagate is up.[/bold green] Ctrl-C drains and ends it.")

    await Supervisor(programs, environment).run(stop, announce)
    console.print("Mediagate has drained and ended.")


def _choose_ports(names: Iterable[str]) -> None:
    """Gives every process whose port is not set a free one."""
    holders = []
    for name in names:
        if name not in os.environ:
            holder = socket.create_server(("127.0.0.1", 0))
            holders.append(holder)
            os.environ[name] = str(holder.getsockname()[1])
    for holder in holders:
        holder.close()


def _secret(path: Path) -> str:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text()


def _write_environment(path: Path, settings: GatewaySettings, endpoints: dict[str, str]) -> None:
    if settings.jwt_secret is None:
        raise ConfigurationError("embedded services sign their own tokens: unset JWT_JWKS_URL")
    claims = {"sub": "devstack", "role": "service", "exp": datetime.now(UTC) + TOKEN_LIFE}
    claims |= {"aud": settings.jwt_audience} if settings.jwt_audience else {}
    claims |= {"iss": settings.jwt_issuer} if settings.jwt_issuer else {}
    values = {
        **endpoints,
        "MEDIAGATE_URL": f"http://{settings.host}:{settings.port}",
        "MEDIAGATE_TOKEN": jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256"),
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
