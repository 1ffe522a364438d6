"""Runs the gateway's peers on one database, each on an empty table, with one load."""

import asyncio
import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp
import asyncpg
import jwt

from benchmarks.gateway.load import DECLARATION, PATH, Load
from benchmarks.machine import Usage, cores, running
from benchmarks.peer import Command, Peer
from benchmarks.results import Measurement
from devstack import ports
from devstack.stack import Stack
from mediagate.migrations import migrate
from mediagate.settings import GatewaySettings
from mediagate.storage import S3
from mediagate.topics import TopicAdmin, load_topics

SECRET = "a secret of the benchmark that is long enough for HS256"  # noqa: S105
USERS = 100
START_DEADLINE = 60.0
ASKED_EVERY = 0.05
CONTENT = b"bytes of an upload"


class GatewayBenchmark:
    """One stack of services, for all runs."""

    def __init__(self, stack: Stack, directory: Path, seconds: float) -> None:
        self._environment = {**stack.endpoints().environment(), "JWT_SECRET": SECRET}
        self._settings = GatewaySettings.model_validate(
            {name.lower(): value for name, value in self._environment.items()}
        )
        self._directory = directory
        self._seconds = seconds
        self._tokens = directory / "tokens"

    async def prepare(self) -> None:
        """Makes tables, topics and buckets, and everyone's token."""
        await migrate(self._environment["DATABASE_URL"])
        async with TopicAdmin(self._settings.kafka_bootstrap_servers) as admin:
            await admin.apply(await admin.plan(load_topics(self._settings.topics_file)))
        store = S3(self._settings)
        await store.create_buckets(self._settings.all_buckets())
        store.close()
        self._tokens.write_text("".join(f"{user} {_token(user)}\n" for user in map(_user, range(USERS))))

    async def run(self, peer: Peer, command: Command) -> Measurement:
        """One peer, once; raises RuntimeError where an answer is not what it should be, or has no row."""
        log, port = self._directory / f"{peer.name.lower()}.log", ports.choose(None, ())
        environment = {
            **self._environment,
            "PORT": str(port),
            "BUCKET": self._settings.temp_bucket,
            **peer.environment,
        }
        await self._statement("truncate media_jobs cascade")
        with running(command, environment, cores()[0], log) as usage:
            await _listens(port)
            load = await self._load(port)
            await self._check_rows(load)
            await _check_upload(port)
        return _measurement(peer, load, usage)

    async def _load(self, port: int) -> Load:
        """The load's own process has its core's interpreter for itself."""
        arguments = [str(port), str(self._tokens), str(self._seconds)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.gateway.load", *arguments, stdout=asyncio.subprocess.PIPE
        )
        written, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError("the load ended by itself")
        return Load(**json.loads(written))

    async def _check_rows(self, load: Load) -> None:
        rows, names = await self._statement("select count(*), count(distinct file_name) from media_jobs")
        if load.refused or not rows == names == load.answered:
            raise RuntimeError(
                f"{load.answered} accepted, {load.refused} refused, {rows} rows of {names} files"
            )

    async def _statement(self, statement: str) -> Any:
        connection = await asyncpg.connect(self._environment["DATABASE_URL"])
        try:
            return await connection.fetchrow(statement)
        finally:
            await connection.close()


def _measurement(peer: Peer, load: Load, usage: Usage) -> Measurement:
    done, percentiles = len(load.latencies), quantiles(load.latencies, n=100)
    return Measurement(
        peer.name,
        done / (load.end - load.start),
        usage.cpu_between(load.start, load.end) / done * 10_000,
        usage.peak_rss / 2**20,
        percentiles[49] * 1000,
        percentiles[98] * 1000,
    )


async def _listens(port: int) -> None:
    async with asyncio.timeout(START_DEADLINE):
        while True:
            try:
                _, writer = await asyncio.open_connection(ports.HOST, port)
            except OSError:
                await asyncio.sleep(ASKED_EVERY)
            else:
                writer.close()
                return


async def _check_upload(port: int) -> None:
    """Uploads real bytes by the URL of an answer."""
    user = _user(0)
    declaration = {
        **DECLARATION,
        "user_id": user,
        "file_name": "last.jpg",
        "file_size": len(CONTENT),
        "sha256_hash": hashlib.sha256(CONTENT).hexdigest(),
        "md5Hash": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    }
    authorization = {"Authorization": f"Bearer {_token(user)}"}
    url = f"http://{ports.HOST}:{port}{PATH}"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=declaration, headers=authorization) as answer:
            upload = (await answer.json())["upload"]
        async with session.put(upload["url"], data=CONTENT, headers=upload["headers"]) as stored:
            if stored.status != 200:
                raise RuntimeError(f"S3 refuses the upload: {await stored.text()}")


def _user(number: int) -> str:
    return f"user-{number:04d}"


def _token(user: str) -> str:
    return jwt.encode({"sub": user, "exp": datetime.now(UTC) + timedelta(hours=6)}, SECRET, "HS256")
