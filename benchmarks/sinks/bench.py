"""Has each peer move the same objects, uploaded anew before each run."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg

from benchmarks.machine import Usage, cores, running
from benchmarks.peer import Command, Peer
from benchmarks.results import Measurement
from benchmarks.sinks.objects import Buckets, approvals, file_name, row, upload
from benchmarks.stream.broker import DEADLINE, LOOKED_AT_EVERY, MEASURED, Broker, Progress, rate
from benchmarks.topics import make_topics
from devstack.ports import choose
from devstack.stack import Stack
from mediagate.migrations import migrate
from mediagate.publisher import KafkaPublisher
from mediagate.topics import load_topics

TEMP, PERMANENT, QUARANTINE = "bench-temp", "bench-permanent", "bench-quarantine"


class SinksBenchmark:
    """One stack for all runs."""

    def __init__(self, stack: Stack, directory: Path, objects: int) -> None:
        self._environment = {
            **stack.endpoints().environment(),
            "TEMP_BUCKET": TEMP,
            "QUARANTINE_BUCKET": QUARANTINE,
            "BUCKETS": json.dumps({"post": PERMANENT}),
            "DEFAULT_BUCKET": PERMANENT,
            "SINKS_PORT": str(choose(None, ())),
        }
        self._directory = directory
        self._buckets = Buckets(self._environment, TEMP, PERMANENT)
        self._uploads = [upload(TEMP, number) for number in range(objects)]

    async def prepare(self) -> None:
        """Makes the tables and the buckets."""
        await migrate(self._environment["DATABASE_URL"])
        self._buckets.make(QUARANTINE)

    async def run(self, peer: Peer, command: Command) -> Measurement:
        """One peer, once; raises RuntimeError where anything is not where it belongs."""
        name = f"bench.{uuid4().hex[:8]}"
        log = self._directory / f"{name}.log"
        await asyncio.to_thread(self._buckets.fill, len(self._uploads))
        with tempfile.TemporaryDirectory() as scratch:
            run = self._run_sinks if peer.ours else self._run_copies
            usage, progress, faults = await run({**peer.environment}, command, Path(scratch), name, log)
        faults += await asyncio.to_thread(self._buckets.faults, len(self._uploads))
        if faults:
            raise RuntimeError(f"{peer.name}: {faults}: {log}")
        moves_a_second, start, end = rate(progress, len(self._uploads))
        cpu = usage.cpu_between(start, end) / (len(self._uploads) * MEASURED)
        return Measurement(peer.name, moves_a_second, cpu * 10_000, usage.peak_rss / 2**20)

    async def _run_sinks(
        self, environment: Mapping[str, str], command: Command, scratch: Path, name: str, log: Path
    ) -> tuple[Usage, list[Progress], str]:
        servers, wanted = self._environment["KAFKA_BOOTSTRAP_SERVERS"], len(self._uploads)
        path = await make_topics(servers, scratch, name, {})
        topics = load_topics(path)
        async with Broker(servers) as broker, KafkaPublisher(servers, "benchmark") as publisher:
            await self._insert_rows()
            await publisher.publish(list(approvals(topics.approved.name, self._uploads)))
            known = {**self._environment, **environment, "TOPICS_FILE": str(path), "SINKS_GROUP": name}
            with running(command, known, cores()[0], log) as usage:
                progress = await broker.until(topics.published.name, wanted, [usage])
                faults = await broker.faults(topics.published.name, topics.approved.name, wanted, name)
            await broker.delete(*(topic.name for topic in topics.all()))
        missing = wanted - await self._recorded()
        return usage, progress, faults + (f"{missing} not recorded " if missing else "")

    async def _run_copies(
        self, environment: Mapping[str, str], command: Command, scratch: Path, _: str, log: Path
    ) -> tuple[Usage, list[Progress], str]:
        moves, done = scratch / "moves", scratch / "done"
        lines = [f"{each.key}\t{file_name(number)}\n" for number, each in enumerate(self._uploads)]
        moves.write_text("".join(lines))
        done.touch()
        known = {**self._environment, **environment, "MOVES": str(moves), "DONE": str(done)}
        with running(command, known, cores()[0], log) as usage:
            progress = await _until(done, len(self._uploads))
        return usage, progress, ""

    async def _insert_rows(self) -> None:
        rows = [row(each) for each in self._uploads]
        connection = await asyncpg.connect(self._environment["DATABASE_URL"])
        try:
            await connection.execute("truncate media_jobs, media_items, system_reports cascade")
            records = [tuple(each.values()) for each in rows]
            await connection.copy_records_to_table("media_jobs", records=records, columns=list(rows[0]))
            await connection.execute("vacuum analyze media_jobs")
        finally:
            await connection.close()

    async def _recorded(self) -> int:
        connection = await asyncpg.connect(self._environment["DATABASE_URL"])
        try:
            return int(
                await connection.fetchval(
                    "select count(*) from media_jobs join media_items using (media_id)"
                    " where state = 'published'"
                )
            )
        finally:
            await connection.close()


async def _until(done: Path, moves: int) -> list[Progress]:
    """How a file grew, a byte a move, until it had so many."""
    seen: list[Progress] = []
    async with asyncio.timeout(DEADLINE):
        while not seen or seen[-1].decisions < moves:
            seen.append(Progress(time.time(), os.stat(done).st_size))  # noqa: PTH116
            await asyncio.sleep(LOOKED_AT_EVERY)
    return seen
