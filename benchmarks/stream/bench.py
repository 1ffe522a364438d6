"""Runs the stream's peers on one topic of uploads, each with a fresh group and a fresh topic of decisions."""

import tempfile
from pathlib import Path
from uuid import uuid4

import asyncpg

from benchmarks.machine import cores, running
from benchmarks.peer import Command, Peer
from benchmarks.results import Measurement
from benchmarks.stream.broker import MEASURED, Broker, rate
from benchmarks.topics import make_topics
from devstack.stack import Stack
from mediagate.migrations import migrate


class StreamBenchmark:
    """One broker and one topic of uploads, for all runs."""

    def __init__(self, stack: Stack, directory: Path, events: int) -> None:
        self._environment = stack.endpoints().environment()
        self._servers = self._environment["KAFKA_BOOTSTRAP_SERVERS"]
        self._directory = directory
        self._events = events
        self._input = f"bench.{uuid4().hex[:8]}.uploads"

    async def prepare(self) -> None:
        """Fills the topic, and makes the tables."""
        await migrate(self._environment["DATABASE_URL"])
        async with Broker(self._servers) as broker:
            await broker.create(self._input)
            await broker.fill(self._input, self._events)

    async def run(self, peer: Peer, command: Command) -> Measurement:
        """One peer, once; raises RuntimeError where it decided anything twice or not at all."""
        name = f"bench.{uuid4().hex[:8]}"
        output, log = f"{name}.decisions", self._directory / f"{name}.log"
        await self._forget()
        async with Broker(self._servers) as broker:
            await broker.create(output)
            with tempfile.TemporaryDirectory() as scratch:
                environment = self._environment_of(peer, name, output) | {"STATE": scratch}
                if peer.ours:
                    named = {"upload_completed_image": self._input, "approved": output}
                    path = await make_topics(self._servers, Path(scratch), name, named)
                    environment["TOPICS_FILE"] = str(path)
                with running(command, environment, cores()[0], log) as usage:
                    progress = await broker.until(output, self._events, [usage])
                    faults = await broker.faults(output, self._input, self._events, name)
            await broker.delete(output)
        if faults:
            raise RuntimeError(f"{peer.name}: {faults}: {log}")
        decisions_a_second, start, end = rate(progress, self._events)
        cpu = usage.cpu_between(start, end) / (self._events * MEASURED)
        return Measurement(peer.name, decisions_a_second, cpu * 10_000, usage.peak_rss / 2**20)

    def _environment_of(self, peer: Peer, name: str, output: str) -> dict[str, str]:
        return {
            **self._environment,
            "SERVERS": self._servers,
            "INPUT": self._input,
            "OUTPUT": output,
            "GROUP": name,
            "STREAMS_GROUP": name,
            **peer.environment,
        }

    async def _forget(self) -> None:
        connection = await asyncpg.connect(self._environment["DATABASE_URL"])
        try:
            # Other areas decide on the same uploads, in the same database.
            await connection.execute("truncate verdicts, media_jobs cascade")
        finally:
            await connection.close()
