"""Replaying all topics from the beginning, twice, changes no byte and no row, and asks no scanner."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mediagate.database import connect
from mediagate.events import Event, OutgoingRecord, UploadCompleted, encode
from mediagate.jobs import TERMINAL, State
from mediagate.lag import lag
from mediagate.media import MediaType
from mediagate.settings import Settings
from mediagate.storage import S3
from mediagate.topics import Topics
from tests.conftest import ROOT
from tests.faults.fleet import Worker
from tests.faults.poison import poison
from tests.faults.uploads import Upload, chance, uploads
from tests.replays import insert, publish_records, read, rows
from tests.services import Services
from tests.uploads import upload as made_of_nothing
from tests.worker_process import environment_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADS = 120
ROUNDS = 2
DEADLINE = 120.0
WORKERS = {
    "IMAGE_BATCH_SIZE": "40",
    "IMAGE_MAX_WAIT": "300",
    "VIDEO_MAX_WAIT": "300",
    "SCANNER_PROCESSES": "1",
}
BANDS = {"IMAGE_APPROVED_BAND": "[0.5, 1.0]", "BRAKE_DECISIONS": "50"}
"""Approvals are held where a replay lets their share fall."""
PROGRAMS = {
    "streams": ROOT / "tests" / "integration" / "streams_process.py",
    "sinks": ROOT / "tests" / "faults" / "sinks_process.py",
}
AUDIT = {"operator_actions", "alembic_version"}
"""Tables that say what operators did."""
BLOCKED, UNVERIFIED, FOREIGN, TWICE = 3, 0.3, 0.3, 0.1

Tables = Mapping[str, list[str]]
Objects = Mapping[tuple[str, str], tuple[object, ...]]


@dataclass(frozen=True)
class Everything:
    """All rows, all objects, and what a scanner was asked."""

    tables: Tables
    objects: Objects
    asked: list[str]


@dataclass
class Town:
    """Everything of one Mediagate."""

    settings: Settings
    topics: Topics
    client: "S3Client"
    environment: dict[str, str]
    directory: Path

    @property
    def upload_topics(self) -> list[str]:
        return [self.topics.upload_completed(each).name for each in MediaType]

    @property
    def asked(self) -> list[str]:
        """Uploads that a scanner was asked about, each time that it was."""
        lines = (self.directory / "asked").read_text().splitlines()
        return [line for line in lines if not line.startswith("canary/")]

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[None]:
        """Both, ready at first; they drain at the end."""
        async with AsyncExitStack() as running:
            workers = [self._worker("streams", str(self.directory / "asked")), self._worker("sinks")]
            for worker in workers:
                await running.enter_async_context(worker.running())
            await asyncio.gather(*(worker.ready() for worker in workers))
            yield
            assert await asyncio.gather(*(worker.drained() for worker in workers)) == [0, 0]

    async def read_to_the_end(self) -> None:
        """Once the groups have committed every record."""
        async with asyncio.timeout(DEADLINE):
            while await self._behind():  # noqa: ASYNC110 - only the broker tells
                await asyncio.sleep(0.2)

    async def mediagate(self, *arguments: str) -> str:
        """What the command says."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mediagate", *arguments),
            cwd=self.directory,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def replay(self, events: int) -> None:
        """All that was uploaded: so many events."""
        topics = [word for topic in self.upload_topics for word in ("--topic", topic)]
        said = await self.mediagate("replay", *topics, "--from-offset", "0", "--execute")
        assert f"Published: {events} events" in said

    async def everything(self) -> "Everything":
        """What must not change."""
        return Everything(await self.tables(), await asyncio.to_thread(self.objects), self.asked)

    async def dead_letters(self) -> list[Any]:
        """All that there are."""
        return await read(self.settings.kafka_bootstrap_servers, self.topics.dead_letter.name)

    async def tables(self) -> Tables:
        """Every column of every row."""
        url = str(self.settings.database_url)
        names = await rows(url, "select tablename from pg_tables where schemaname = 'public' order by 1")
        wanted = [row["tablename"] for row in names if row["tablename"] not in AUDIT]
        return {name: sorted(map(str, await rows(url, f"select * from {name}"))) for name in wanted}  # noqa: S608

    def objects(self) -> Objects:
        """Every object: its bytes, and all that S3 says of them."""
        return {place: self._object(*place) for place in self._places()}

    def _object(self, bucket: str, key: str) -> tuple[object, ...]:
        found = self.client.get_object(Bucket=bucket, Key=key)
        said = found["ETag"], found["ContentType"], found["LastModified"], sorted(found["Metadata"].items())
        return found["Body"].read(), *said

    def _places(self) -> Iterator[tuple[str, str]]:
        for bucket in sorted(self.settings.all_buckets()):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    yield bucket, entry["Key"]

    def _worker(self, name: str, *arguments: str) -> Worker:
        environment = self.environment | WORKERS | BANDS
        return Worker(PROGRAMS[name], arguments, environment, self.directory / f"{name}.log")

    async def _behind(self) -> int:
        servers = self.settings.kafka_bootstrap_servers
        sinks = [topic.name for topic in self.topics.all() if "sinks" in topic.consumers]
        read_by = {self.settings.streams_group: self.upload_topics, self.settings.sinks_group: sinks}
        return sum([sum((await lag(servers, *each)).values()) for each in read_by.items()])


@pytest.fixture
async def town(
    settings: Settings,
    services: Services,
    topics: Topics,
    s3: S3,
    outside_client: "S3Client",
    tmp_path: Path,
) -> Town:
    own = Settings.model_validate(
        settings.model_dump() | {"streams_group": uuid4().hex, "sinks_group": uuid4().hex}
    )
    return Town(own, topics, outside_client, environment_of(own, services), tmp_path)


@pytest.fixture
async def database(town: Town) -> AsyncIterator[Any]:
    async with await connect(str(town.settings.database_url), 1) as pool:
        yield pool


async def test_all_topics_from_the_beginning_twice(town: Town, database: Any) -> None:
    random = chance("twice")
    records = await fill(town, database, random)
    await publish_records(town.settings.kafka_bootstrap_servers, [*records, *poison(records, random)])
    async with town.workers():
        await town.read_to_the_end()
        before, letters = await town.everything(), len(await town.dead_letters())
    check_that_every_kind_is_there(before.tables, before.objects)

    for _ in range(ROUNDS):
        await town.replay(len(records))
        for group in (town.settings.streams_group, town.settings.sinks_group):
            await town.mediagate(
                "offsets", "reset", "--group", group, "--all-topics", "--to-earliest", "--execute"
            )
        async with town.workers():
            await town.read_to_the_end()
        assert await town.everything() == before
    # What fits no contract is no event, and is not replayed; that it was read again made it a letter again.
    assert len(await town.dead_letters()) == (1 + ROUNDS) * letters


async def fill(town: Town, database: Any, random: Random) -> list[OutgoingRecord]:
    """Objects, rows and events of uploads that end in every way; some are on the block list."""
    batch = list(islice(uploads(random), UPLOADS))
    for blocked in random.sample([each for each in batch if not each.damaged], BLOCKED):
        await database.execute(
            """insert into hash_block_list (kind, hash, added_at) values ('sha256', $1, now())
               on conflict do nothing""",
            blocked.sha256,
        )
    records = []
    for each in batch:
        event = await asyncio.to_thread(stored, town, each, random.random() >= UNVERIFIED)
        if random.random() >= FOREIGN:
            await insert(database, event.data, "queued")
        topic = town.topics.upload_completed(event.data.media_type).name
        records += [encode(event, topic)] * (2 if random.random() < TWICE else 1)
    random.shuffle(records)
    return records


def stored(town: Town, upload: Upload, verified: bool) -> Event[UploadCompleted]:
    """The event of an upload whose object stands in S3, with a checksum that S3 verified or without."""
    key, bucket = f"uploads/{upload.media_id}", town.settings.temp_bucket
    put = {"Bucket": bucket, "Key": key, "Body": upload.body, "ContentType": upload.mime_type}
    checksum = {"ChecksumAlgorithm": "SHA256"} if verified else {}
    etag = town.client.put_object(**put, **checksum)["ETag"]  # type: ignore[arg-type]
    event = made_of_nothing(bucket, upload.mime_type)
    said = {
        "media_id": upload.media_id,
        "key": key,
        "etag": etag,
        "size": len(upload.body),
        "sha256": upload.sha256,
        "linked_to_type": upload.linked_to_type,
        "file_name": upload.file_name,
    }
    data = event.data.model_copy(update=said)
    return event._replace(id=str(uuid4()), subject=str(upload.media_id), data=data)


def check_that_every_kind_is_there(tables: Tables, objects: Objects) -> None:
    """Else the test would say less than its name."""
    states = Counter(state for row in tables["media_jobs"] for state in State if f"'state': '{state}'" in row)
    assert states.keys() == TERMINAL - {State.EXPIRED}
    assert states.total() == UPLOADS
    assert len(tables["media_items"]) == states[State.PUBLISHED]
    assert len(tables["system_reports"]) == states[State.QUARANTINED]
    assert len(tables["hash_block_matches"]) >= BLOCKED
    assert tables["brakes"] == []
    assert len([key for _, key in objects if not key.startswith("canary/")]) == UPLOADS
