"""The work of the stream benchmark on Kafka: uploads to decide on, and the decisions that come of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5, sha256
from itertools import pairwise
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid5

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

from benchmarks.machine import Usage
from mediagate.event_examples import COMPLETED_AT, UPLOAD
from mediagate.events import Event, EventType, OutgoingRecord, UploadCompleted, encode, event_id
from mediagate.publisher import KafkaPublisher

Found = TypeVar("Found")

PARTITIONS = 4
NAMESPACE = UUID("0d2a4f4e-7a0c-4b5b-9a53-3a0b6a4a8f10")
CHUNK = 5000
LOOKED_AT_EVERY = 0.05
DEADLINE = 600.0
COMMIT_PATIENCE = 20.0
MEASURED = 0.85
"""Share of the decisions between the first tenth and the last twentieth."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many decisions there were at a time, by `time.time()`."""

    at: float
    decisions: int


class Caused(NamedTuple):
    """A record: the id of the event that it answers, and when it was written, by `time.time()`."""

    cause: bytes
    at: float


class Broker:
    """What the harness itself asks of Kafka."""

    def __init__(self, servers: str, partitions: int = PARTITIONS) -> None:
        self.servers = servers
        self._partitions = partitions
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=servers, auto_offset_reset="earliest", max_poll_records=CHUNK
        )

    async def __aenter__(self) -> "Broker":
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def create(self, *topics: str) -> None:
        """Makes topics, and waits until the broker leads them."""
        await self._admin.create_topics([NewTopic(name, self._partitions, 1) for name in topics])
        async with asyncio.timeout(DEADLINE):
            while not all(map(_is_led, await self._admin.describe_topics(list(topics)))):  # noqa: ASYNC110
                await asyncio.sleep(LOOKED_AT_EVERY)

    async def delete(self, *topics: str) -> None:
        """Removes topics and their records."""
        await self._admin.delete_topics(list(topics))

    async def fill(self, topic: str, events: int) -> None:
        """Publishes so many uploads, all of them different."""
        async with KafkaPublisher(self.servers, "benchmark") as publisher:
            for start in range(0, events, CHUNK):
                await publisher.publish(list(uploads(topic, range(start, min(events, start + CHUNK)))))

    async def until(self, topic: str, decisions: int, of: Sequence[Usage]) -> list[Progress]:
        """How the decisions came, until there were so many; raises RuntimeError where a process has ended."""
        partitions = self._partitions_of(topic)
        seen = [Progress(time.time(), 0)]  # a small run may be half over at the first look
        async with asyncio.timeout(DEADLINE):
            while seen[-1].decisions < decisions:
                ends = await self._consumer.end_offsets(partitions)
                seen.append(Progress(time.time(), sum(ends.values())))
                for each in of:
                    each.check()
                await asyncio.sleep(LOOKED_AT_EVERY)
        return seen

    async def faults(self, topic: str, uploads_topic: str, events: int, group: str) -> str:
        """What is wrong with the decisions and the group's offsets; empty where nothing is."""
        committed = await _patiently(
            lambda: self._committed(group, uploads_topic), lambda offsets: offsets >= events
        )
        # A transaction's marker has an offset, too, and looked like a decision until now.
        causes = await _patiently(lambda: self._causes(topic), lambda found: len(found) >= events)
        counts = {
            "missing": events - len(causes),
            "doubled": causes.total() - len(causes),
            "not committed": events - committed,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    async def _causes(self, topic: str) -> Counter[bytes]:
        return Counter(each.cause for each in await self.caused(topic))

    async def caused(self, topic: str) -> list[Caused]:
        """The records of a topic that another event caused."""
        partitions = self._partitions_of(topic)
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)
        left = dict(await self._consumer.end_offsets(partitions))
        caused: list[Caused] = []
        async with asyncio.timeout(DEADLINE):
            # A transaction's marker has an offset, too, and may still come.
            while left := {each: end for each, end in left.items() if await self._is_behind(each, end)}:
                found = await self._consumer.getmany(timeout_ms=1000)
                for record in (record for of_partition in found.values() for record in of_partition):
                    cause = dict(record.headers).get("ce_causationid")
                    if cause is not None:
                        caused.append(Caused(cause, record.timestamp / 1000))
        return caused

    async def _is_behind(self, partition: TopicPartition, end: int) -> bool:
        return int(await self._consumer.position(partition)) < end

    async def joined(self, group: str, members: int) -> None:
        """Waits until a group has so many members, and each of them its partitions."""
        async with asyncio.timeout(DEADLINE):
            while not await self._is_settled(group, members):  # noqa: ASYNC110
                await asyncio.sleep(LOOKED_AT_EVERY)

    async def _is_settled(self, group: str, members: int) -> bool:
        try:
            (response,) = await self._admin.describe_consumer_groups([group])
        except GroupCoordinatorNotAvailableError:  # of a broker that never had a group
            return False
        (described,) = response.to_object()["groups"]
        joined = described["members"]
        return (
            described["state"] == "Stable"
            and len(joined) == members
            and all(each["member_assignment"] for each in joined)
        )

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._partitions)]

    async def _committed(self, group: str, topic: str) -> int:
        offsets = await self._admin.list_consumer_group_offsets(group)
        stored = [offset.offset for place, offset in offsets.items() if place.topic == topic]
        return sum(int(offset) for offset in stored if offset > 0)


def upload(number: int) -> UploadCompleted:
    """An upload, the same one for the same number."""
    digits = str(number).encode()
    return UPLOAD.model_copy(
        update={
            "media_id": uuid5(NAMESPACE, str(number)),
            "key": f"uploads/{number}",
            "sha256": sha256(digits).hexdigest(),
            "md5": md5(digits, usedforsecurity=False).hexdigest(),
        }
    )


def completion(number: int) -> Event[UploadCompleted]:
    """Its event, as the gateway's or recovery's first attempt has it."""
    kind, data = EventType.UPLOAD_COMPLETED, upload(number)
    name = event_id(kind, data.media_id, "1")
    return Event(name, kind, "/benchmark", COMPLETED_AT, str(data.media_id), data)


def uploads(topic: str, numbers: Sequence[int]) -> Iterator[OutgoingRecord]:
    """Their records."""
    return (encode(completion(number), topic) for number in numbers)


def rate(progress: Sequence[Progress], decisions: int) -> tuple[float, float, float]:
    """Decisions a second between the first tenth and the last twentieth, and when those were."""
    start = reached(progress, decisions * 0.1)
    end = reached(progress, decisions * 0.95)
    return decisions * MEASURED / (end - start), start, end


def reached(progress: Sequence[Progress], decisions: float) -> float:
    """When there were more decisions than that."""
    for before, after in pairwise(progress):
        if before.decisions <= decisions < after.decisions:
            share = (decisions - before.decisions) / (after.decisions - before.decisions)
            return before.at + share * (after.at - before.at)
    raise ValueError(f"{decisions} decisions were never reached")


async def _patiently(look: Callable[[], Awaitable[Found]], enough: Callable[[Found], bool]) -> Found:
    """What there is once it is enough, or when patience ends."""
    deadline = time.monotonic() + COMMIT_PATIENCE
    while not enough(found := await look()) and time.monotonic() <= deadline:  # noqa: ASYNC110
        await asyncio.sleep(LOOKED_AT_EVERY)
    return found


def _is_led(described: Mapping[str, Any]) -> bool:
    partitions = described["partitions"]
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)
