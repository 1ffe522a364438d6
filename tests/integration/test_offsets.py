"""A consumer group on a real broker: who is in it, where it stands, and who may move it."""

from uuid import uuid4

import pytest
from aiokafka import TopicPartition

from mediagate.errors import ConfigurationError, TransientError
from mediagate.offsets import Position
from mediagate.offsets.group import open_group
from mediagate.topics import Topics
from tests.consumer_groups import commit, committed, member, write
from tests.services import Services

TIMES = [1_700_000_000_000 + second * 1000 for second in range(5)]


@pytest.fixture
def servers(services: Services) -> str:
    return services.kafka_bootstrap_servers


@pytest.fixture
def name() -> str:
    return uuid4().hex


@pytest.fixture
def first(topics: Topics) -> TopicPartition:
    return TopicPartition(topics.dead_letter.name, 0)


async def test_a_group_that_never_was_is_inactive_and_stays_away(
    servers: str, name: str, first: TopicPartition
) -> None:
    async with open_group(servers, name) as group:
        membership = await group.membership()
        positions = await group.positions([first])
        assert await group.committed() == []

    assert (membership.state, membership.members, membership.active) == ("Dead", (), False)
    assert positions == {first: Position(None, 0, 0)}
    assert await committed(servers, name) == {}


async def test_each_member_is_known_with_its_partitions(
    servers: str, name: str, first: TopicPartition
) -> None:
    async with (
        member(servers, name, first.topic, "worker-1") as consumer,
        open_group(servers, name) as group,
    ):
        membership = await group.membership()
        assert membership.active
        assert [one.client_id for one in membership.members] == ["worker-1"]
        assert membership.partitions() == consumer.assignment()
        assert str(membership.owner(first)) == f"worker-1@{membership.members[0].host}"
        assert not membership.members[0].host.startswith("/")

    async with open_group(servers, name) as group:
        assert not (await group.membership()).active


async def test_positions_are_commit_and_ends_of_the_log(
    servers: str, name: str, first: TopicPartition
) -> None:
    second = TopicPartition(first.topic, 1)
    await write(servers, first, *TIMES)
    await commit(servers, name, {first: 2})

    async with open_group(servers, name) as group:
        assert await group.committed() == [first]
        assert await group.positions([first, second]) == {
            first: Position(2, 0, 5),
            second: Position(None, 0, 0),
        }
        assert first in await group.partitions()


async def test_a_time_is_its_first_event_or_the_end(servers: str, name: str, first: TopicPartition) -> None:
    second = TopicPartition(first.topic, 1)
    await write(servers, first, *TIMES)
    await write(servers, second, TIMES[0])

    async with open_group(servers, name) as group:
        assert await group.first_since([first, second], TIMES[2] - 1) == {first: 2, second: 1}
        assert await group.first_since([first, second], 0) == {first: 0, second: 0}
        assert await group.first_since([first, second], TIMES[4] + 1) == {first: 5, second: 1}


async def test_offsets_are_set_while_nobody_is_in_the_group(
    servers: str, name: str, first: TopicPartition
) -> None:
    second = TopicPartition(first.topic, 1)
    await write(servers, first, *TIMES)
    await commit(servers, name, {first: 5})

    async with open_group(servers, name) as group:
        await group.commit({first: 1, second: 0})
        assert (await group.membership()).members == ()

    assert await committed(servers, name) == {first: 1, second: 0}
    async with member(servers, name, first.topic, "worker-2") as consumer:
        assert await consumer.position(first) == 1


async def test_the_broker_refuses_offsets_of_a_group_that_somebody_joined_meanwhile(
    servers: str, name: str, first: TopicPartition
) -> None:
    await write(servers, first, *TIMES)
    await commit(servers, name, {first: 5})

    async with open_group(servers, name) as group:
        assert not (await group.membership()).active
        async with member(servers, name, first.topic, "early bird"):
            with pytest.raises(ConfigurationError, match="has become active: its offsets are as they were"):
                await group.commit({first: 0})

    assert await committed(servers, name) == {first: 5}


async def test_a_broker_that_is_away_is_transient() -> None:
    with pytest.raises(TransientError, match="Kafka does not answer"):
        async with open_group("127.0.0.1:1", "g"):
            pass
