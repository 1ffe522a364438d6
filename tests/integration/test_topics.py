"""Topics on a real broker: what is planned, what is applied."""

from pathlib import Path

import pytest
import stamina

from mediagate.errors import TransientError
from mediagate.topics import Topic, TopicAdmin, Topics, load_topics
from tests.services import Services

PATIENCE = 15.0


@pytest.fixture
def declared(topics_file: Path) -> Topics:
    """Topics that the broker does not have."""
    return load_topics(topics_file)


def with_approved(topics: Topics, **changes: object) -> Topics:
    approved = Topic.model_validate(topics.approved.model_dump() | changes)
    return topics.model_copy(update={"approved": approved})


async def settled(admin: TopicAdmin, topics: Topics) -> None:
    """Returns when every broker knows what was applied; its metadata follows a moment later."""
    async for attempt in stamina.retry_context(
        on=AssertionError, attempts=None, timeout=PATIENCE, wait_initial=0.05, wait_jitter=0
    ):
        with attempt:
            assert await admin.plan(topics) == []


async def test_topics_are_made_as_declared(services: Services, declared: Topics) -> None:
    async with TopicAdmin(services.kafka_bootstrap_servers) as admin:
        assert set(await admin.missing(declared)) == {topic.name for topic in declared.all()}
        plan = await admin.plan(declared)
        assert [(change.topic.name, change.action) for change in plan] == [
            (topic.name, "create") for topic in declared.all()
        ]

        await admin.apply(plan)

        await settled(admin, declared)
        assert await admin.missing(declared) == []


async def test_applying_the_same_plan_twice_is_no_error(services: Services, declared: Topics) -> None:
    async with TopicAdmin(services.kafka_bootstrap_servers) as admin:
        plan = await admin.plan(declared)
        await admin.apply(plan)
        await admin.apply(plan)
        await settled(admin, declared)


async def test_partitions_are_added(services: Services, topics: Topics) -> None:
    wanted = with_approved(topics, partitions=6)
    async with TopicAdmin(services.kafka_bootstrap_servers) as admin:
        await settled(admin, topics)
        (change,) = await admin.plan(wanted)
        assert (change.action, change.current, change.wanted, change.possible) == (
            "partitions",
            "4",
            "6",
            True,
        )

        await admin.apply([change])

        await settled(admin, wanted)


async def test_fewer_partitions_are_impossible_and_left_alone(services: Services, topics: Topics) -> None:
    wanted = with_approved(topics, partitions=2)
    async with TopicAdmin(services.kafka_bootstrap_servers) as admin:
        await settled(admin, topics)
        plan = await admin.plan(wanted)
        assert [(change.action, change.possible) for change in plan] == [("partitions", False)]

        await admin.apply(plan)

        assert await admin.plan(wanted) == plan


async def test_a_config_is_changed_and_no_other_with_it(services: Services, topics: Topics) -> None:
    wanted = with_approved(topics, config={"retention.ms": "1000", "max.message.bytes": "2000000"})
    async with TopicAdmin(services.kafka_bootstrap_servers) as admin:
        await settled(admin, topics)
        plan = await admin.plan(wanted)
        assert {(change.action, change.wanted) for change in plan} == {
            ("config retention.ms", "1000"),
            ("config max.message.bytes", "2000000"),
        }

        await admin.apply(plan)

        await settled(admin, wanted)


async def test_says_that_no_broker_answers() -> None:
    with pytest.raises(TransientError, match="Kafka does not answer"):
        async with TopicAdmin("127.0.0.1:9"):
            pass
