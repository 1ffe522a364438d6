"""A consumer group on the broker: who is in it, where it stands; and moving it while nobody is."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    for_code,
)

from mediagate.errors import ConfigurationError, TransientError
from mediagate.logs import without_kafka_lines
from mediagate.offsets import Position

DEADLINE = 30.0
"""Longest time for everything that is asked of a group, s."""
RETRY_PAUSE = 0.2
COORDINATOR_STARTS = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
INACTIVE = ("Empty", "Dead")


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group, and the partitions that are its own."""

    client_id: str
    host: str
    partitions: frozenset[TopicPartition]

    def __str__(self) -> str:
        return f"{self.client_id}@{self.host}"


@dataclass(frozen=True, slots=True)
class Membership:
    """A group's state, as Kafka names it, and who is in it."""

    state: str
    members: tuple[Member, ...]

    @property
    def active(self) -> bool:
        """Whether anybody is in it, or joining: then its offsets are theirs."""
        return bool(self.members) or self.state not in INACTIVE

    def partitions(self) -> frozenset[TopicPartition]:
        """What all members together have."""
        return frozenset().union(*(member.partitions for member in self.members))

    def owner(self, partition: TopicPartition) -> Member | None:
        """Who has a partition."""
        return next((member for member in self.members if partition in member.partitions), None)


class ConsumerGroup:
    """Asks about one group, which it never joins."""

    def __init__(self, name: str, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self.name = name
        self._admin = admin
        self._consumer = consumer

    async def membership(self) -> Membership:
        """Who is in it; a group that is not there is Dead."""
        while True:
            try:
                (response,) = await self._admin.describe_consumer_groups([self.name])
                (described,) = response.to_object()["groups"]
                if error := described["error_code"]:
                    raise for_code(error)(self.name)
                return _membership(described)
            except COORDINATOR_STARTS:
                # A broker that never had a group makes its offsets topic at the first question.
                await asyncio.sleep(RETRY_PAUSE)

    async def committed(self) -> list[TopicPartition]:
        """Partitions that the group has committed an offset of."""
        offsets: Mapping[TopicPartition, Any] = await self._admin.list_consumer_group_offsets(self.name)
        return sorted(offsets)

    async def partitions(self) -> list[TopicPartition]:
        """Every partition of every topic on the broker."""
        # Asking for a topic by name would make it where the broker makes topics on its own.
        described = await self._admin.describe_topics()
        return sorted(
            TopicPartition(entry["topic"], partition["partition"])
            for entry in described
            for partition in entry["partitions"]
        )

    async def positions(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Position]:
        """Where the group stands in each partition."""
        beginnings = await self._consumer.beginning_offsets(list(partitions))
        ends = await self._consumer.end_offsets(list(partitions))
        # Not the admin's list: it is empty, without a word, while the coordinator is another one.
        return {
            partition: Position(
                await self._consumer.committed(partition), beginnings[partition], ends[partition]
            )
            for partition in partitions
        }

    async def first_since(
        self, partitions: Collection[TopicPartition], milliseconds: int
    ) -> dict[TopicPartition, int]:
        """The first offset of a time or later; the log's end where there is none."""
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
        ends = await self._consumer.end_offsets(list(partitions))
        return {partition: first.offset if first else ends[partition] for partition, first in found.items()}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Sets offsets of a group that nobody is in; the broker refuses them if somebody has joined."""
        self._consumer.assign(list(offsets))
        self._consumer.pause(*offsets)
        try:
            await self._consumer.commit(dict(offsets))
        except CommitFailedError as error:
            raise ConfigurationError(
                f"group {self.name} has become active: its offsets are as they were"
            ) from error


@asynccontextmanager
async def open_group(bootstrap_servers: str, name: str) -> AsyncIterator[ConsumerGroup]:
    """A group to ask within DEADLINE; raises TransientError where Kafka does not answer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=name, enable_auto_commit=False)
    with without_kafka_lines():
        try:
            async with asyncio.timeout(DEADLINE):
                await admin.start()
                await consumer.start()
                yield ConsumerGroup(name, admin, consumer)
        except (KafkaError, TimeoutError) as error:
            raise TransientError(f"Kafka does not answer: {str(error) or type(error).__name__}") from error
        finally:
            await consumer.stop()
            await admin.close()


def _membership(described: Mapping[str, Any]) -> Membership:
    members = (
        Member(
            member["client_id"],
            member["client_host"].removeprefix("/"),
            _assigned(described["protocol_type"], member["member_assignment"]),
        )
        for member in described["members"]
    )
    return Membership(described["state"], tuple(members))


def _assigned(protocol_type: str, assignment: bytes) -> frozenset[TopicPartition]:
    # While a group rebalances its members have none.
    if protocol_type != ConsumerProtocol.PROTOCOL_TYPE or not assignment:
        return frozenset()
    decoded: Sequence[TopicPartition] = ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions()
    return frozenset(decoded)
