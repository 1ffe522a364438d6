"""Recorded decisions on a real broker: which are read, where reading ends, what flips."""

import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from mediagate.backtest import Backtest
from mediagate.cli.flips import flip_file
from mediagate.decision_log import DecisionLog, TimeRange, open_decision_log
from mediagate.errors import ConfigurationError, TransientError
from mediagate.events import Decision, Event, encode
from mediagate.policy import Policy
from mediagate.topics import Topics, load_topics
from tests.decisions import recorded
from tests.services import Services

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
"""Younger than the topics' retention."""
MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
POLICY = Policy.model_validate({"default": {"thresholds": {"nsfw": {"hold": 0.6, "reject": 0.85}}}})


class Scribe:
    """Writes the test's own topics."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    async def write(self, at: datetime, event: Event[Decision] | None = None) -> Event[Decision]:
        """A decision that the broker has under that time."""
        event = event or recorded()
        record = encode(event, self._topics.of_event(event.type).name)
        await self.write_raw(at, record.topic, record.key, record.value, list(record.headers))
        return event

    async def write_raw(
        self,
        at: datetime,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> Any:
        timestamp = round(at.timestamp() * 1000)
        return await self._producer.send_and_wait(
            topic, value, key=key, headers=headers, timestamp_ms=timestamp
        )


@pytest.fixture
async def scribe(services: Services, topics: Topics) -> AsyncIterator[Scribe]:
    async with AIOKafkaProducer(bootstrap_servers=services.kafka_bootstrap_servers) as producer:
        yield Scribe(producer, topics)


async def ids(log: DecisionLog) -> list[str]:
    return sorted([event.id async for chunk in log.read() for event in chunk.decisions])


async def test_decisions_of_every_topic_and_partition_are_read_by_their_time(
    services: Services, topics: Topics, scribe: Scribe
) -> None:
    end = START + HOUR
    await scribe.write(START - MILLISECOND)
    await scribe.write(end)
    inside = [await scribe.write(at) for at in (START, end - MILLISECOND)]
    inside += [
        await scribe.write(START + minute * timedelta(minutes=1), recorded(outcome=outcome))
        for minute in range(10)
        for outcome in ("approved", "rejected", "needs_review", "unscannable")
    ]
    await scribe.write(START - HOUR)

    async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START, end)) as log:
        assert await ids(log) == sorted(event.id for event in inside)
        assert log.offsets == 0


async def test_a_part_of_a_millisecond_is_not_before_it(
    services: Services, topics: Topics, scribe: Scribe
) -> None:
    await scribe.write(START)
    last = await scribe.write(START + MILLISECOND)
    part = MILLISECOND / 2

    async with open_decision_log(
        services.kafka_bootstrap_servers, topics, TimeRange(START + part, START + MILLISECOND + part)
    ) as log:
        assert await ids(log) == [last.id]


async def test_what_is_written_after_the_log_was_opened_is_not_read(
    services: Services, topics: Topics, scribe: Scribe
) -> None:
    before = await scribe.write(START)

    async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START)) as log:
        for _ in range(20):
            await scribe.write(START + HOUR)
        assert await ids(log) == [before.id]


async def test_nothing_is_read_of_a_time_without_decisions(
    services: Services, topics: Topics, scribe: Scribe
) -> None:
    await scribe.write(START)

    async with open_decision_log(
        services.kafka_bootstrap_servers, topics, TimeRange(START + MILLISECOND)
    ) as log:
        assert log.offsets == 0
        assert await ids(log) == []


async def test_offsets_account_for_every_record(services: Services, topics: Topics, scribe: Scribe) -> None:
    for _ in range(2500):
        await scribe.write_raw(START, topics.held.name, None, b"{}", [])

    async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START)) as log:
        total = log.offsets
        chunks = [chunk async for chunk in log.read()]

    assert total == 2500
    assert sum(chunk.offsets for chunk in chunks) == total
    assert max(len(chunk.undecodable) for chunk in chunks) <= 1000


async def test_a_log_that_ends_in_a_transactions_marker_ends(
    services: Services, topics: Topics, scribe: Scribe
) -> None:
    async with (
        AIOKafkaProducer(
            bootstrap_servers=services.kafka_bootstrap_servers, transactional_id=topics.approved.name
        ) as producer,
        producer.transaction(),
    ):
        event = await Scribe(producer, topics).write(START)

    async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START)) as log:
        assert await ids(log) == [event.id]


async def test_what_is_no_decision_is_named(services: Services, topics: Topics, scribe: Scribe) -> None:
    name = topics.rejected.name
    garbage = await scribe.write_raw(START, name, None, b"\xff", [])
    tombstone = await scribe.write_raw(START, name, b"1", None, [])
    sound = await scribe.write(START)

    async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START)) as log:
        chunks = [chunk async for chunk in log.read()]

    assert sorted(position for chunk in chunks for position in chunk.undecodable) == sorted(
        [
            f"{name}:{garbage.partition}:{garbage.offset} not_a_cloud_event",
            f"{name}:{tombstone.partition}:{tombstone.offset} no_value",
        ]
    )
    assert [event.id for chunk in chunks for event in chunk.decisions] == [sound.id]


async def test_flips_of_recorded_decisions_are_written(
    services: Services, topics: Topics, scribe: Scribe, tmp_path: Path
) -> None:
    published = await scribe.write(START, recorded(scores={"nsfw": 0.7}))
    for event in (
        published,
        recorded(),
        recorded(outcome="rejected", scores={"nsfw": 0.9}),
        recorded(outcome="needs_review", braked="approved", scores={"nsfw": 0.2}),
        recorded(outcome="rejected", scanner="block_list", scores={}, reasons=("block_list: md5",)),
    ):
        await scribe.write(START + HOUR, event)
    released = await scribe.write(START + HOUR, recorded(outcome="rejected", scores={"nsfw": 0.5}))
    backtest = Backtest(POLICY)

    with flip_file(tmp_path / "flips.csv") as file:
        async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START)) as log:
            async for chunk in log.read():
                for event in chunk.decisions:
                    if flip := backtest.add(event):
                        file.add(flip)

    assert (backtest.redecided, backtest.independent, backtest.flipped, backtest.repeated) == (5, 1, 2, 1)
    with (tmp_path / "flips.csv").open(newline="") as written:
        rows = {
            row["media_id"]: (row["recorded_outcome"], row["new_outcome"]) for row in csv.DictReader(written)
        }
    assert rows == {
        published.subject: ("approved", "needs_review"),
        released.subject: ("rejected", "approved"),
    }


async def test_a_missing_topic_is_named(services: Services, topics_file: Path) -> None:
    topics = load_topics(topics_file)

    with pytest.raises(ConfigurationError, match=rf"Kafka has no topic {topics.approved.name}"):
        async with open_decision_log(services.kafka_bootstrap_servers, topics, TimeRange(START)):
            pass


async def test_a_broker_that_is_away_is_transient(topics_file: Path) -> None:
    with pytest.raises(TransientError, match="Kafka does not answer"):
        async with open_decision_log("127.0.0.1:1", load_topics(topics_file), TimeRange(START)):
            pass
