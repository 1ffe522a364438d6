"""`python -m sinks` as a child, and the test's own view of Kafka."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import stamina
import urllib3
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from mediagate.events import Decision, Event, encode
from mediagate.lag import lag
from mediagate.publisher import KafkaPublisher
from mediagate.settings import SinksSettings
from mediagate.topics import Topics
from tests.services import Services

ROOT = Path(__file__).parents[3]
DEADLINE = 60.0


class Kafka:
    """The decision topics' other ends."""

    def __init__(self, settings: SinksSettings, topics: Topics) -> None:
        self._servers = settings.kafka_bootstrap_servers
        self._group = settings.sinks_group
        self._topics = topics

    async def decide(self, events: Sequence[Event[Decision]]) -> None:
        """Publishes decisions."""
        async with KafkaPublisher(self._servers, "test") as publisher:
            await publisher.publish(
                [encode(event, self._topics.of_event(event.type).name) for event in events]
            )

    async def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int = 0) -> None:
        """Publishes whatever it is."""
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            await producer.send_and_wait(
                topic, value, key=key, partition=partition, headers=[("odd", None), ("x", b"\xff")]
            )

    async def read(self, topics: Sequence[str], until: int) -> dict[str, list[ConsumerRecord]]:
        """Records by key, once there are `until` different keys on the topics."""
        found: dict[str, list[ConsumerRecord]] = {}
        async with reading(self._servers, topics) as consumer, asyncio.timeout(DEADLINE):
            while len(found) < until:
                record = await consumer.getone()
                found.setdefault((record.key or b"").decode(), []).append(record)
        return found

    async def told(self, until: int) -> dict[str, list[ConsumerRecord]]:
        """What was published and quarantined, once there is news of so many uploads."""
        return await self.read([self._topics.published.name, self._topics.quarantined.name], until)

    async def uncommitted(self) -> int:
        """Decisions that the group has not committed."""
        topics = [self._topics.approved.name, self._topics.rejected.name, self._topics.held.name]
        return sum((await lag(self._servers, self._group, topics)).values())


@asynccontextmanager
async def reading(servers: str, topics: Sequence[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the topics from their beginning."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


class Sinks:
    """Runs the process with the test's settings."""

    def __init__(self, settings: SinksSettings, services: Services, directory: Path) -> None:
        self._directory = directory
        self._environment = os.environ | {
            **services.environment(),
            "DATABASE_URL": str(settings.database_url),
            "TOPICS_FILE": str(settings.topics_file),
            "SINKS_GROUP": settings.sinks_group,
            "TEMP_BUCKET": settings.temp_bucket,
            "QUARANTINE_BUCKET": settings.quarantine_bucket,
            "BUCKETS": json.dumps(dict(settings.buckets)),
            "DEFAULT_BUCKET": settings.default_bucket,
            "PYTHONPATH": str(ROOT),
        }

    @asynccontextmanager
    async def running(self, **environment: str) -> AsyncIterator["Running"]:
        """The process, killed at the end if it still runs."""
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sinks",
            cwd=self._directory,
            env=self._environment | {"SINKS_PORT": str(port)} | environment,
            stderr=asyncio.subprocess.PIPE,
        )
        running = Running(process, port)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await running.ended()


class Running:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._port = port
        self._output = asyncio.create_task(self._read())

    async def _read(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()

    async def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        async with asyncio.timeout(DEADLINE):
            output = await self._output
            return await self._process.wait(), output

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    async def ready(self) -> None:
        """Returns once it has joined its consumer group."""
        async for attempt in stamina.retry_context(
            on=(AssertionError, urllib3.exceptions.HTTPError), attempts=None, timeout=DEADLINE, wait_max=0.2
        ):
            with attempt:
                assert self.get("/readyz") == (200, "ok\n")

    def get(self, path: str) -> tuple[int, str]:
        """What its health server answers."""
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", f"http://127.0.0.1:{self._port}{path}", retries=False, timeout=5)
            return answer.status, answer.data.decode()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
