"""Where a run takes place: services behind proxies, workers, uploads, and what is there in the end."""

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from botocore.exceptions import BotoCoreError, ClientError

from devstack.stack import Stack
from mediagate.database import UNAVAILABLE
from mediagate.errors import TransientError
from mediagate.events import Event, EventType, OutgoingRecord, UploadCompleted, encode, event_id
from mediagate.jobs import UNFINISHED, State
from mediagate.lag import lag
from mediagate.media import MediaType
from mediagate.publisher import KafkaPublisher
from mediagate.settings import Settings
from mediagate.topics import Topics
from tests.faults.checker import TP, Accepted, Asked, Evidence, Layout, Moment, Record
from tests.faults.client import SECRET, USER, clients
from tests.faults.fleet import Worker
from tests.faults.http_proxy import HttpProxy
from tests.faults.poison import poison
from tests.faults.proxy import Proxy
from tests.faults.script import Mood
from tests.faults.uploads import Kind, Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HERE = Path(__file__).parent
HOST = "127.0.0.1"
PATIENCE = 120.0
"""Seconds that a service may be away for, and after the last fault until all is quiet."""
FEEDING = 600.0
"""Seconds; several faults in turn may keep an upload from being taken in."""
FED_AT_ONCE = 6
LOOK_DEADLINE = 20.0
FEED_PAUSE = 1.0
MOST_IN_FLIGHT = 500
REPLAYED = 40
READERS = PUTTERS = 4
WORKER_SETTINGS = {
    "IMAGE_BATCH_SIZE": "20",
    "IMAGE_MAX_WAIT": "500",
    "VIDEO_MAX_WAIT": "500",
    "SCANNER_PROCESSES": "1",
    "BREAKER_PAUSE": "2",
    "RECOVERY_INTERVAL": "5",
    "LOG_LEVEL": "INFO",
    "JWT_SECRET": SECRET,
}
INSERT = """
    insert into media_jobs (media_id, user_id, file_name, file_size, mime_type, sha256, linked_to_type,
        linked_to_id, bucket, key, etag, state, created_at, queued_at, event_published_at, attempts)
    values ($1, $15, $2, $3, $4, $5, $6, '1', $7, $8, $9, $10, $11, $12, $13, $14)
    on conflict (media_id) do nothing
"""
HALF_WRITTEN = re.compile(r".-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""What S3Proxy calls an object until it is whole, and lists for ever where it is killed meanwhile."""
AWAY = (*UNAVAILABLE, asyncpg.PostgresError, ClientError, BotoCoreError, KafkaError, TransientError)
"""What a service raises while a fault strikes it."""


@dataclass(repr=False)
class Stage:
    """One run's world."""

    stack: Stack
    settings: Settings
    topics: Topics
    client: "S3Client"
    directory: Path
    environment: dict[str, str]
    s3: HttpProxy
    postgres: Proxy
    kafka: Proxy
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the worker programs, beside what they need."""
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the worker programs, beside what all have."""
    gateway: list[Worker] = field(default_factory=list)
    streams: list[Worker] = field(default_factory=list)
    sinks: list[Worker] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    poison: list[bytes] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    sent: list[OutgoingRecord] = field(default_factory=list)
    putters: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(PUTTERS))
    """Uploads that S3 keeps waiting do not keep those waiting who let it go on."""
    spared: int = 0
    """So many workers of each kind are never struck themselves."""

    @property
    def proxies(self) -> dict[str, Proxy]:
        """By what they stand in front of."""
        return {"S3": self.s3, "PostgreSQL": self.postgres, "Kafka": self.kafka}

    @property
    def mood_file(self) -> Path:
        """How the scanner is."""
        return self.directory / "mood"

    def scanner_is(self, mood: Mood) -> None:
        """From its next batch on."""
        draft = self.mood_file.with_suffix(".new")
        draft.write_text(mood)
        draft.replace(self.mood_file)

    @asynccontextmanager
    async def workers(
        self, streams: int, sinks: int, arm: Callable[[], None] = lambda: None
    ) -> AsyncIterator[None]:
        """So many of each and one gateway, all ready at first; killed at the end where they are still there.

        `arm` is called before they start; nobody waits for one that is armed to be ready.
        """
        self.gateway[:] = [self.worker("gateway", 0)]
        self.streams[:] = [self.worker("streams", number) for number in range(streams)]
        self.sinks[:] = [self.worker("sinks", number) for number in range(sinks)]
        arm()
        async with AsyncExitStack() as held:
            for worker in self.everyone:
                await held.enter_async_context(worker.running())
            await asyncio.gather(*(each.ready() for each in self.everyone if not each.armed))
            yield

    @property
    def everyone(self) -> list[Worker]:
        """All workers, in the order of the data."""
        return [*self.gateway, *self.streams, *self.sinks]

    def workers_of(self, kind: str) -> list[Worker]:
        """Those of `gateway`, of `streams` or of `sinks` that may be struck."""
        return {
            "gateway": self.gateway,
            "streams": self.streams[self.spared :],
            "sinks": self.sinks[self.spared :],
        }[kind]

    def worker(self, name: str, number: int) -> Worker:
        """One more, not yet running."""
        arguments = [str(self.mood_file)] if name == "streams" else []
        environment = self.environment | WORKER_SETTINGS | self.environments.get(name, {})
        log = self.directory / f"{name}-{number}.log"
        program = HERE / f"{name}_process.py"
        return Worker(program, (*arguments, *self.arguments.get(name, ())), environment, log)

    async def drained(self) -> list[int]:
        """Tells every worker to end, once it has started: their exit codes."""
        await asyncio.gather(*(worker.ready() for worker in self.everyone))
        return list(await asyncio.gather(*(worker.drained() for worker in self.everyone)))

    async def take_in(self, uploads: Iterable[Upload], random: Random) -> None:
        """Objects, rows and events of these uploads, with duplicates, in an order of chance, once in all."""
        batch = list(uploads)
        now = datetime.now(UTC)
        etags = await asyncio.gather(*(self._stored(upload) for upload in batch))
        stored = list(zip(batch, etags, strict=True))
        await self._patiently(lambda: self._insert(stored, now))
        events = [event for upload, etag in stored for event in self._events(upload, etag, now)]
        random.shuffle(events)
        records = [self._record(event) for event in events]
        await self.send(records)
        self.sent += records
        self.accepted += [upload.accepted for upload in batch]

    async def feed(
        self, uploads: Iterator[Upload], random: Random, enough: asyncio.Event, at_once: int = FED_AT_ONCE
    ) -> None:
        """Takes uploads in, so many at a time, until it is enough or none is left; waits for its clients."""
        async with clients(self._address, self.accepted.append, self.asked.append) as crowd:
            while not enough.is_set() and (batch := list(islice(uploads, at_once))):
                for upload in batch:
                    if upload.kind is Kind.CLIENT:
                        await crowd.send(upload)
                await self.take_in((each for each in batch if each.kind is not Kind.CLIENT), random)
                await self._until_there_is_need(enough)

    async def _until_there_is_need(self, enough: asyncio.Event) -> None:
        """Whatever the machine can do, a backlog does not grow for ever."""
        full = True
        while full and not enough.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(FEED_PAUSE):
                    await enough.wait()
            with suppress(*AWAY):
                full = await self._in_flight() > MOST_IN_FLIGHT

    async def _in_flight(self) -> int:
        states = await self._states()
        return sum(states.get(state, 0) for state in UNFINISHED)

    async def _states(self) -> dict[str, int]:
        """Uploads by their state."""
        rows = await self._rows("select state, count(*) as jobs from media_jobs group by state")
        return {str(row["state"]): int(row["jobs"]) for row in rows}

    async def replayed(self, random: Random) -> None:
        """Events of before come again, late and in another order."""
        await self.send(random.sample(self.sent, min(len(self.sent), REPLAYED)))

    async def send(self, records: list[OutgoingRecord]) -> None:
        """Publishes records, in their order."""
        await self._patiently(lambda: self._publish(records))

    async def poisoned(self, random: Random) -> None:
        """Records that fit no contract, one of each kind."""
        while not self.sent:  # noqa: ASYNC110 - the first batch is on its way
            await asyncio.sleep(FEED_PAUSE)
        bad = poison(self.sent, random)
        await self.send(bad)
        self.poison += [record.value or b"" for record in bad]

    async def settled(self, patience: float = PATIENCE) -> None:
        """Once every upload is at its end and Kafka is read; raises TimeoutError with what is open."""
        try:
            async with asyncio.timeout(patience):
                while await self._open():  # noqa: ASYNC110 - three servers are asked
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise TimeoutError(f"after {patience:.0f} s: {await self._open()}") from None

    async def read_to_the_end(self) -> None:
        """Once the groups have committed every record; raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while any((await self._behind()).values()):  # noqa: ASYNC110 - only the broker tells
                await asyncio.sleep(0.5)

    async def look_if_possible(self) -> None:
        """The same as `look`, unless the broker is away."""
        with suppress(*AWAY):
            async with asyncio.timeout(LOOK_DEADLINE):
                await self._look()

    async def look(self) -> None:
        """Notes what the groups have committed, then how long the topics are; a broker may just be back."""
        async for attempt in stamina.retry_context(on=AWAY, attempts=None, timeout=PATIENCE):
            with attempt:
                await self._look()

    async def _look(self) -> None:
        self.moments.append(Moment(await self._committed(), await self._ends()))

    @property
    def layout(self) -> Layout:
        """The parts of topics and buckets."""
        topics = self.topics
        return Layout(
            uploads=frozenset(topics.upload_completed(media_type).name for media_type in MediaType),
            decisions=frozenset({topics.approved.name, topics.rejected.name, topics.held.name}),
            news=frozenset({topics.published.name, topics.quarantined.name}),
            dead_letters=topics.dead_letter.name,
            temp_bucket=self.settings.temp_bucket,
        )

    async def events(self) -> list[Record]:
        """All on the topics of uploads, oldest first within a partition."""
        return [record for record in await self._records() if record.topic in self.layout.uploads]

    async def evidence(self) -> Evidence:
        """All that Kafka, PostgreSQL and S3 say."""
        return Evidence(
            self.layout,
            self.accepted,
            self.poison,
            await self._records(),
            await self._rows("select * from media_jobs"),
            await self._rows("select * from media_items"),
            await self._rows("select * from system_reports"),
            await asyncio.to_thread(self._objects),
            self.moments,
            self.asked,
        )

    def _address(self) -> str:
        """Where the gateway listens now."""
        return f"http://{HOST}:{self.gateway[0].port}"

    async def _stored(self, upload: Upload) -> str | None:
        """The object's ETag, where there is to be one."""
        if upload.kind is Kind.ABANDONED:
            return None
        loop = asyncio.get_running_loop()
        etag: str = await self._patiently(lambda: loop.run_in_executor(self.putters, self._put, upload))
        return etag

    def _events(self, upload: Upload, etag: str | None, now: datetime) -> list[Event[UploadCompleted]]:
        if etag is None or upload.kind in {Kind.OWED, Kind.SILENT}:
            return []
        return [_event(upload, self.settings.temp_bucket, etag, now)] * upload.times

    def _put(self, upload: Upload) -> str:
        return self.client.put_object(
            Bucket=self.settings.temp_bucket,
            Key=_key(upload),
            Body=upload.body,
            ContentType=upload.mime_type,
            ChecksumAlgorithm="SHA256",
        )["ETag"]

    async def _insert(self, stored: Iterable[tuple[Upload, str | None]], now: datetime) -> None:
        rows = [self._row(upload, etag, now) for upload, etag in stored if upload.kind is not Kind.FOREIGN]
        async with self._connection() as connection:
            await connection.executemany(INSERT, rows, timeout=30)

    def _row(self, upload: Upload, etag: str | None, now: datetime) -> tuple[object, ...]:
        waiting = upload.kind in {Kind.SILENT, Kind.ABANDONED}
        created = now - (timedelta(days=2) if waiting else timedelta(minutes=1))
        return (
            upload.media_id,
            upload.file_name,
            len(upload.body),
            upload.mime_type,
            upload.sha256,
            upload.linked_to_type,
            self.settings.temp_bucket,
            _key(upload),
            None if waiting else etag,
            State.AWAITING_UPLOAD if waiting else State.QUEUED,
            created,
            None if waiting else created,
            None if waiting or upload.kind is Kind.OWED else now,
            0 if waiting else 1,
            USER,
        )

    def _record(self, event: Event[UploadCompleted]) -> OutgoingRecord:
        return encode(event, self.topics.upload_completed(event.data.media_type).name)

    async def _publish(self, records: list[OutgoingRecord]) -> None:
        async with KafkaPublisher(self.settings.kafka_bootstrap_servers, "faults") as publisher:
            await publisher.publish(records)

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async for attempt in stamina.retry_context(on=AWAY, attempts=None, timeout=FEEDING, wait_max=1.0):
            with attempt:
                return await call()
        raise AssertionError("retrying ended without an answer")

    async def _rows(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        async with self._connection() as connection:
            return [dict(row) for row in await connection.fetch(statement, *arguments, timeout=30)]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(str(self.settings.database_url), timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=10)

    async def _open(self) -> dict[str, int]:
        """What is not at its end, by what it is."""
        states = await self._states()
        unfinished = {state.value: states.get(state, 0) for state in UNFINISHED}
        missing = {"unknown": len(self.accepted) - sum(states.values())}
        return {what: count for what, count in (unfinished | await self._behind() | missing).items() if count}

    async def _behind(self) -> dict[str, int]:
        servers = self.settings.kafka_bootstrap_servers
        return {
            f"lag of {group}": sum((await lag(servers, group, names)).values())
            for group, names in self._read_by().items()
        }

    def _read_by(self) -> dict[str, list[str]]:
        topics = self.topics
        return {
            self.settings.streams_group: [topics.upload_completed(each).name for each in MediaType],
            self.settings.sinks_group: [topic.name for topic in topics.of_sinks()],
        }

    async def _committed(self) -> dict[TP, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap_servers)
        await admin.start()
        try:
            found = [await admin.list_consumer_group_offsets(group) for group in self._read_by()]
        finally:
            await admin.close()
        return {(tp.topic, tp.partition): meta.offset for group in found for tp, meta in group.items()}

    async def _ends(self) -> dict[TP, int]:
        async with self._consumer() as consumer:
            ends = await consumer.end_offsets(self._partitions())
            return {(tp.topic, tp.partition): offset for tp, offset in ends.items()}

    async def _records(self) -> list[Record]:
        records: list[Record] = []
        async with self._consumer() as consumer:
            partitions = self._partitions()
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            async with asyncio.timeout(PATIENCE):
                while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                    for found in (await consumer.getmany(timeout_ms=500)).values():
                        records += [_as_record(record) for record in found]
        return records

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap_servers, enable_auto_commit=False
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(each.name, n) for each in self.topics.all() for n in range(each.partitions)]

    def _objects(self) -> dict[tuple[str, str], str]:
        places = list(self._keys())
        with ThreadPoolExecutor(READERS) as pool:
            return dict(zip(places, pool.map(lambda place: self._sha256(*place), places), strict=True))

    def _keys(self) -> Iterator[tuple[str, str]]:
        pages = self.client.get_paginator("list_objects_v2")
        for bucket in sorted(self.settings.all_buckets()):
            for page in pages.paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    if not HALF_WRITTEN.search(entry["Key"]):
                        yield bucket, entry["Key"]

    def _sha256(self, bucket: str, key: str) -> str:
        return hashlib.sha256(self.client.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()


@asynccontextmanager
async def staged(
    stack: Stack,
    settings: Settings,
    topics: Topics,
    client: "S3Client",
    directory: Path,
    environment: dict[str, str],
    kafka_listener: socket.socket,
) -> AsyncIterator[Stage]:
    """A stage with its proxies; workers reach all services through them."""
    async with AsyncExitStack() as held:
        s3_port = urlsplit(str(settings.s3_endpoint_url)).port or 80
        s3 = await held.enter_async_context(HttpProxy(HOST, s3_port).running())
        postgres = await held.enter_async_context(Proxy(HOST, stack.postgres.port).running())
        behind = stack.kafka.port_behind_proxy
        kafka = await held.enter_async_context(Proxy(HOST, behind, kafka_listener).running())
        through = {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{kafka.port}",
            "S3_ENDPOINT_URL": f"http://{HOST}:{s3.port}",
            "DATABASE_URL": _with_port(environment["DATABASE_URL"], postgres.port),
        }
        yield Stage(stack, settings, topics, client, directory, environment | through, s3, postgres, kafka)


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    user, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}@{HOST}:{port}"))


def _key(upload: Upload) -> str:
    return f"uploads/{upload.media_id}"


def _event(upload: Upload, bucket: str, etag: str, now: datetime) -> Event[UploadCompleted]:
    kind = EventType.UPLOAD_COMPLETED
    data = UploadCompleted(
        media_id=upload.media_id,
        user_id=USER,
        bucket=bucket,
        key=_key(upload),
        etag=etag,
        size=len(upload.body),
        mime_type=upload.mime_type,
        sha256=upload.sha256,
        linked_to_type=upload.linked_to_type,
        linked_to_id="1",
        file_name=upload.file_name,
        occurred_at=now,
    )
    return Event(event_id(kind, data.media_id, "1"), kind, "/faults", now, str(data.media_id), data)


def _as_record(record: Any) -> Record:
    headers = {name: value or b"" for name, value in record.headers}
    return Record(record.topic, record.partition, record.offset, record.key, record.value, headers)
