"""`python -m gateway`: it starts, says why it cannot, and ends when told to."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import asyncpg
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from mediagate.settings import Settings
from mediagate.storage import S3
from mediagate.topics import Topics
from tests.integration.gateway.uploader import SECRET
from tests.services import Services

Environment = dict[str, str]
TIMEOUT = 40


@pytest.fixture
def environment(services: Services, settings: Settings) -> Environment:
    names = ("database_url", "topics_file", "temp_bucket", "quarantine_bucket", "default_bucket")
    return {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPATH"}},
        **services.environment(),
        **{name.upper(): str(getattr(settings, name)) for name in names},
        "BUCKETS": json.dumps(dict(settings.buckets)),
        "JWT_SECRET": SECRET,
        "PORT": "0",
    }


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def gateway(environment: Environment) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def address_of(process: Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(TIMEOUT):
        while line := await process.stderr.readline():
            entry = json.loads(line)
            if entry["event"] == "listening":
                return str(entry["url"])
    raise AssertionError("the gateway ended before it listened")


async def refusal(environment: Environment) -> list[str]:
    """What a gateway that cannot start prints; it must exit with 1."""
    async with gateway(environment) as process, asyncio.timeout(TIMEOUT):
        _, printed = await process.communicate()
    assert process.returncode == 1
    return printed.decode().splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_told_to_end(
    environment: Environment, topics: Topics, s3: S3, number: signal.Signals
) -> None:
    async with gateway(environment) as process:
        url = await address_of(process)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ready", "missing": {}})

        process.send_signal(number)

        async with asyncio.timeout(TIMEOUT):
            assert await process.wait() == 0


async def test_a_request_under_way_is_answered_before_the_end(
    environment: Environment, topics: Topics, s3: S3
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "1"}
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def keys(_: web.Request) -> web.Response:
        asked.set()
        await may_answer.wait()
        return web.json_response({"keys": [jwk]})

    identity_provider = web.Application()
    identity_provider.router.add_get("/jwks.json", keys)
    claims = {"sub": "alice", "exp": datetime.now(UTC) + timedelta(minutes=5)}
    authorization = {"Authorization": f"Bearer {jwt.encode(claims, key, 'RS256', {'kid': '1'})}"}
    async with TestServer(identity_provider) as provider, aiohttp.ClientSession() as session:
        jwks = {"JWT_SECRET": "", "JWT_JWKS_URL": str(provider.make_url("/jwks.json"))}
        async with gateway(environment | jwks) as process, asyncio.timeout(TIMEOUT):
            url = f"{await address_of(process)}/media/{uuid4()}"
            answer = asyncio.create_task(session.get(url, headers=authorization))
            await asked.wait()

            process.send_signal(signal.SIGTERM)
            await logged(process, "draining")
            may_answer.set()

            assert (await answer).status == 404
            assert await process.wait() == 0


async def logged(process: Process, event: str) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if json.loads(line)["event"] == event:
            return
    raise AssertionError(f"never logged: {event}")


Change = Callable[[Environment, int], Environment]
CANNOT_START: dict[str, tuple[Change, str]] = {
    "no token settings": (lambda e, _: e | {"JWT_SECRET": ""}, "JWT_SECRET and JWT_JWKS_URL"),
    "short secret": (lambda e, _: e | {"JWT_SECRET": "short"}, "JWT_SECRET: must be at least 32 bytes"),
    "JWKS URL is a file": (
        lambda e, _: e | {"JWT_SECRET": "", "JWT_JWKS_URL": "file:///etc/passwd"},
        "JWT_JWKS_URL",
    ),
    "port is no number": (lambda e, _: e | {"PORT": "x"}, "PORT"),
    "no Kafka": (
        lambda e, port: e | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"},
        "Kafka does not answer",
    ),
    "no PostgreSQL": (
        lambda e, port: e | {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"},
        "PostgreSQL does not answer",
    ),
    "wrong password": (
        lambda e, _: e | {"DATABASE_URL": re.sub(r":[^:@/]+@", ":wrong@", e["DATABASE_URL"])},
        "PostgreSQL",
    ),
    "no S3": (lambda e, port: e | {"S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}, "S3 does not answer"),
    "wrong S3 secret": (lambda e, _: e | {"AWS_SECRET_ACCESS_KEY": "wrong"}, "S3"),
    "bucket missing": (lambda e, _: e | {"TEMP_BUCKET": "no-such-bucket"}, "no-such-bucket"),
    "no topics file": (lambda e, _: e | {"TOPICS_FILE": "/nonexistent.yaml"}, "/nonexistent.yaml"),
}


@pytest.mark.parametrize("name", CANNOT_START)
async def test_what_it_cannot_start_without_is_one_line(
    environment: Environment, topics: Topics, s3: S3, unused_port: int, name: str
) -> None:
    change, reason = CANNOT_START[name]

    lines = await refusal(change(environment, unused_port))

    assert len(lines) == 1, lines
    (line,) = lines
    assert line.startswith("mediagate gateway: ")
    assert reason in line
    assert SECRET not in line


async def test_a_taken_port_is_one_line(
    environment: Environment, topics: Topics, s3: S3, taken_port: int
) -> None:
    (line,) = await refusal(environment | {"PORT": str(taken_port)})

    assert line.startswith(f"mediagate gateway: cannot listen on 127.0.0.1:{taken_port}: ")


async def test_missing_topics_are_one_line(environment: Environment, s3: S3) -> None:
    (line,) = await refusal(environment)

    assert "media.upload-completed.image" in line


async def test_a_database_that_is_not_migrated_is_one_line(
    environment: Environment, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await pool.execute("drop table alembic_version")

    (line,) = await refusal(environment)

    assert "mediagate migrate" in line
