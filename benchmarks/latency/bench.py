"""Runs Mediagate, the reference's design and S3 alone on one stack, under the same load."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.latency.designs import MEDIAGATE, Design, moves
from benchmarks.latency.load import SECRET, client_of
from benchmarks.latency.times import MAX_WAIT, WINDOW, Times, lines, percentiles, windows_of
from benchmarks.machine import Usage, cores, running
from benchmarks.peer import Command
from benchmarks.results import Measurement
from benchmarks.topics import make_topics
from devstack import ports
from devstack.stack import Stack
from mediagate.migrations import migrate
from mediagate.settings import Settings
from mediagate.storage import S3
from mediagate.topics import TopicAdmin, Topics, load_topics

S3_ALONE = "S3 alone"
END_DEADLINE = 240.0
LOOKED_AT_EVERY = 0.25


class LatencyBenchmark:
    """One stack of services, for all runs."""

    def __init__(self, stack: Stack, directory: Path, seconds: float, rate: float) -> None:
        self._environment = {**stack.endpoints().environment(), "JWT_SECRET": SECRET}
        self._settings = Settings.model_validate(
            {name.lower(): value for name, value in self._environment.items()}
        )
        self._directory = directory
        # Whole windows, so that none of them is closed by time.
        self._uploads = max(1, round(seconds * rate / WINDOW)) * WINDOW
        self._rate = rate

    async def prepare(self) -> None:
        """Makes tables and buckets."""
        await migrate(self._environment["DATABASE_URL"])
        store = S3(self._settings)
        await store.create_buckets(self._settings.all_buckets())
        store.close()

    async def s3_alone(self) -> Measurement:
        """What copy and delete of each window's objects take by themselves."""
        log = self._log("moves")
        with running(moves(self._uploads, self._rate), self._environment, cores()[0], log) as usage:
            await self._until(lambda: sum("published" in line for line in lines(log)))
        times = _told(log)
        return _measurement(S3_ALONE, times, {"moves": usage}, percentiles(times.to_published()))

    async def run(self, design: Design, commands: Mapping[str, Command]) -> tuple[Measurement, Measurement]:
        """One design, once: to the decision, and from there to published, S3's own time included."""
        run = uuid4().hex[:8]
        await self._forget()
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            servers = self._settings.kafka_bootstrap_servers
            topics_file = await make_topics(servers, Path(scratch), f"bench.{run}", {})
            topics = load_topics(topics_file)
            await _stamp_at_the_broker(servers, topics)
            listening = {name: ports.choose(None, ()) for name in commands}
            environment = {
                **self._environment,
                **{f"{name.upper()}_PORT": str(port) for name, port in listening.items()},
                "PORT": str(listening["gateway"]),
                "TOPICS_FILE": str(topics_file),
                "STREAMS_GROUP": f"bench.{run}.streams",
                "SINKS_GROUP": f"bench.{run}.sinks",
                "IMAGE_ROUTES": '[{"scanner": "local"}]',
                "VIDEO_ROUTES": '[{"scanner": "local"}]',
                "IMAGE_BATCH_SIZE": str(WINDOW),
                "IMAGE_MAX_WAIT": str(int(MAX_WAIT * 1000)),
                "BUCKET": self._settings.temp_bucket,
                "PERMANENT_BUCKET": self._settings.default_bucket,
                "NODE_ENV": "production",
            }
            logs = {name: self._log(f"{design.name}.{name}") for name in commands}
            usages = {
                name: stack.enter_context(running(command, environment, cores()[0], logs[name]))
                for name, command in commands.items()
            }
            async with client_of(listening) as client:
                media_ids = await client.upload(self._uploads)
                await client.complete(media_ids, self._rate)
            if design is MEDIAGATE:
                times = await self._from_kafka(topics)
                times.windows = windows_of(logs["streams"])
            else:
                await self._until(lambda: sum("published" in line for line in lines(logs["gateway"])))
                times = _told(logs["gateway"])
        if set(times.published) != set(media_ids):
            raise RuntimeError(f"{design.name}: {len(times.published)} published of {len(media_ids)} uploads")
        return (
            _measurement(f"{design.name}, to decision", times, usages, percentiles(times.to_decision())),
            _measurement(f"{design.name}, to published", times, usages, percentiles(times.to_published())),
        )

    async def _from_kafka(self, topics: Topics) -> Times:
        servers = self._settings.kafka_bootstrap_servers
        async with AIOKafkaConsumer(
            bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False
        ) as consumer:
            found: dict[str, dict[str, tuple[float, float]]] = {}
            for topic in (topics.upload_completed_image, topics.approved, topics.published):
                found[topic.name] = await self._read(consumer, topic.name, topic.partitions)
        return Times(
            {media_id: event for media_id, (event, _) in found[topics.upload_completed_image.name].items()},
            {media_id: appended for media_id, (_, appended) in found[topics.approved.name].items()},
            {media_id: appended for media_id, (_, appended) in found[topics.published.name].items()},
        )

    async def _read(
        self, consumer: AIOKafkaConsumer, topic: str, partitions: int
    ) -> dict[str, tuple[float, float]]:
        """By media id, the time of its event and that at which the broker had it."""
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        await consumer.seek_to_beginning()
        found: dict[str, tuple[float, float]] = {}
        async with asyncio.timeout(END_DEADLINE):
            while len(found) < self._uploads:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        event = _time(record)
                        found[record.key.decode()] = event, record.timestamp / 1000
        return found

    async def _until(self, published: Callable[[], int]) -> None:
        async with asyncio.timeout(END_DEADLINE):
            while published() < self._uploads:  # noqa: ASYNC110
                await asyncio.sleep(LOOKED_AT_EVERY)

    async def _forget(self) -> None:
        connection = await asyncpg.connect(self._environment["DATABASE_URL"])
        try:
            await connection.execute("truncate media_jobs, verdicts cascade")
            await connection.execute("drop table if exists reference_jobs, reference_items")
        finally:
            await connection.close()

    def _log(self, name: str) -> Path:
        return self._directory / f"latency.{name}.{time.time_ns()}.log"


def net(gross: Measurement, alone: Measurement) -> Measurement:
    """Latencies less those of S3 alone."""
    return Measurement(
        gross.peer,
        gross.rate,
        gross.cpu_seconds_per_10k,
        gross.peak_rss_mib,
        (gross.p50_ms or 0.0) - (alone.p50_ms or 0.0),
        (gross.p99_ms or 0.0) - (alone.p99_ms or 0.0),
    )


async def _stamp_at_the_broker(servers: str, topics: Topics) -> None:
    """Has the broker note when it has a record, by its own clock."""
    stamped = {
        name: topic.model_copy(update={"config": {**topic.config, "message.timestamp.type": "LogAppendTime"}})
        for name, topic in topics
    }
    async with TopicAdmin(servers) as admin:
        await admin.apply(await admin.plan(Topics(**stamped)))


def _time(record: Any) -> float:
    """Of a record's event."""
    return datetime.fromisoformat(dict(record.headers)["ce_time"].decode()).timestamp()


def _told(log: Path) -> Times:
    told = [line for line in lines(log) if "published" in line]
    accepted, decided, published = (
        {line["media_id"]: line[name] for line in told if name in line}
        for name in ("accepted", "decided", "published")
    )
    return Times(accepted, decided, published, windows_of(log))


def _measurement(
    name: str, times: Times, usages: Mapping[str, Usage], latencies: tuple[float, float]
) -> Measurement:
    start, end = min(times.decided.values()), max(times.published.values())
    cpu = sum(usage.cpu_between(start, end) for usage in usages.values())
    rss = sum(usage.peak_rss for usage in usages.values())
    return Measurement(name, times.rate, cpu / len(times.published) * 10_000, rss / 2**20, *latencies)
