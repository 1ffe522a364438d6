"""Dead letters on a real broker and database: sent back byte for byte, never lost, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from mediagate.database import connect
from mediagate.dead_letter_queue import Filters, Letter, Position, State, parse_position
from mediagate.dead_letter_queue.log import DeadLetterLog, open_log
from mediagate.dead_letter_queue.marks import Marks
from mediagate.dead_letter_queue.redrive import Found, found, redriving
from mediagate.errors import ConfigurationError, TransientError
from mediagate.events import OutgoingRecord
from mediagate.operator_actions import Action
from mediagate.publisher import KafkaPublisher
from mediagate.topics import Topics
from tests.dead_letters import bury, letter, read, size
from tests.services import Services

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ODD_HEADERS = [("x", b"\xff\x00"), ("x", b""), ("y", b"2"), ("x", b"3"), ("null", None)]


@pytest.fixture
def servers(services: Services) -> str:
    return services.kafka_bootstrap_servers


@pytest.fixture
async def pool(database_url: str) -> "AsyncIterator[Pool]":
    async with await connect(database_url, 2) as pool:
        yield pool


@pytest.fixture
def marks(pool: "Pool", topics: Topics) -> Marks:
    return Marks(pool, topics.dead_letter.name, "ana", lambda: NOW)


async def everything(log: DeadLetterLog, marks: Marks, filters: Filters | None = None) -> list[Found]:
    return sorted(
        [each async for each in found(log, marks, filters or Filters())],
        key=lambda each: each.letter.position,
    )


async def send_back(servers: str, marks: Marks, letters: Sequence[Letter]) -> None:
    async with KafkaPublisher(servers, "test") as publisher:
        await redriving(marks, publisher.deliver)(letters)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"key", b'{"a": 1}', [("ce_id", b"1")]),
        (b"\x00\xff", b"\xfe\x00" * 1000, ODD_HEADERS),
        (None, b"x", []),
        (b"key", None, ODD_HEADERS),
        (None, None, []),
        (b"", b"", [("", b"")]),
    ],
)
async def test_a_redriven_record_is_the_one_that_arrived_byte_for_byte(
    servers: str,
    topics: Topics,
    marks: Marks,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes]],
) -> None:
    origin = topics.upload_completed_video.name
    async with KafkaPublisher(servers, "test") as publisher:
        await publisher.publish([OutgoingRecord(origin, key, value, headers)])
    (arrived,) = await read(servers, origin, 1)
    (position,) = await bury(
        servers,
        letter(topics, topic=origin, key=arrived.key, value=arrived.value, headers=arrived.headers),
    )

    async with open_log(servers, topics.dead_letter.name) as log:
        await send_back(servers, marks, [await log.at(parse_position(position))])

    first, second = await read(servers, origin, 2)
    assert (first.key, first.value, first.headers) == (key, value, tuple(headers))
    assert (second.key, second.value, second.headers) == (first.key, first.value, first.headers)


async def test_each_letter_is_found_once_up_to_the_end_as_it_was(
    servers: str, topics: Topics, marks: Marks
) -> None:
    positions = await bury(servers, *(letter(topics, key=b"%d" % number) for number in range(1200)))
    async with open_log(servers, topics.dead_letter.name) as log:
        await bury(servers, letter(topics))
        for _ in range(2):
            seen = await everything(log, marks)
            assert [str(each.letter.position) for each in seen] == sorted(positions, key=parse_position)
            assert {each.state for each in seen} == {State.OPEN}


async def test_letters_are_found_by_time_and_what_they_say(
    servers: str, topics: Topics, marks: Marks
) -> None:
    await bury(servers, letter(topics, key=b"old"), letter(topics, reason="no_value", key=b"one"))
    between = datetime.now(UTC) + timedelta(milliseconds=1)
    await asyncio.sleep(0.01)
    await bury(servers, letter(topics, key=b"new"), letter(topics, topic="t", key=b"one"))

    async def keys(**said: object) -> set[bytes | None]:
        async with open_log(servers, topics.dead_letter.name) as log:
            filters = Filters(**said)  # type: ignore[arg-type]
            return {each.letter.key for each in await everything(log, marks, filters)}

    assert await keys() == {b"old", b"one", b"new"}
    assert await keys(since=between) == {b"new", b"one"}
    assert await keys(until=between) == {b"old", b"one"}
    assert await keys(since=between, topic="t") == {b"one"}
    assert await keys(reasons=frozenset({"no_value"})) == {b"one"}
    assert await keys(since=datetime(2200, 1, 1, tzinfo=UTC)) == set()
    assert await keys(since=datetime(1, 1, 1, tzinfo=UTC), media_id="ol") == {b"old"}


async def test_a_redrive_leaves_one_row_and_a_letter_that_is_open_no_more(
    servers: str, topics: Topics, marks: Marks, pool: "Pool"
) -> None:
    (position,) = await bury(servers, letter(topics, reason="no_value"))
    async with open_log(servers, topics.dead_letter.name) as log:
        one = await log.at(parse_position(position))
        await send_back(servers, marks, [one])
        (seen,) = await everything(log, marks)

    assert seen.state is State.REDRIVEN
    (row,) = await pool.fetch("select * from operator_actions")
    (redriven,) = await read(servers, topics.upload_completed_image.name, 1)
    assert (row["at"], row["operator"], row["action"]) == (NOW, "ana", "dlq.redrive")
    assert row["subject"] == f"{topics.dead_letter.name}:{position}"
    assert row["details"] == {
        "origin": f"{topics.upload_completed_image.name}:3:41",
        "reason": "no_value",
        "to": f"{redriven.topic}:{redriven.partition}:{redriven.offset}",
    }


async def test_a_letter_that_could_not_be_sent_stays_open(
    servers: str, topics: Topics, marks: Marks, pool: "Pool"
) -> None:
    async def refuse(_: Sequence[OutgoingRecord]) -> Sequence[str]:
        raise TransientError("Kafka did not acknowledge")

    (position,) = await bury(servers, letter(topics))
    async with open_log(servers, topics.dead_letter.name) as log:
        one = await log.at(parse_position(position))
        with pytest.raises(TransientError):
            await redriving(marks, refuse)([one])
        (seen,) = await everything(log, marks)

    assert seen.state is State.OPEN
    (begun,) = await marks.on(one)
    assert (begun.action, "to" in begun.details) == (Action.REDRIVE, False)


async def test_a_crash_before_the_end_is_noted_sends_twice_and_loses_nothing(
    servers: str, topics: Topics, marks: Marks, pool: "Pool"
) -> None:
    await pool.execute(
        "create function crash() returns trigger language plpgsql as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$"
    )
    await pool.execute("create trigger crash before update on operator_actions execute function crash()")
    (position,) = await bury(servers, letter(topics))
    async with open_log(servers, topics.dead_letter.name) as log:
        one = await log.at(parse_position(position))
        with pytest.raises(TransientError):
            await send_back(servers, marks, [one])
        assert [each.state for each in await everything(log, marks)] == [State.OPEN]
        await pool.execute("drop trigger crash on operator_actions")

        await send_back(servers, marks, [one])
        assert [each.state for each in await everything(log, marks)] == [State.REDRIVEN]

    assert await size(servers, topics.upload_completed_image.name) == 2
    assert ["to" in action.details for action in await marks.on(one)] == [False, True]


async def test_no_letter_can_keep_its_mark_from_being_written(
    servers: str, topics: Topics, marks: Marks
) -> None:
    said = ("topic", "partition", "offset", "reason", "error", "attempts")
    hostile = OutgoingRecord(
        topics.dead_letter.name, None, None, [(f"dead-letter-{name}", b"\x00\xed\xa0\x80'") for name in said]
    )
    await bury(servers, hostile, OutgoingRecord(topics.dead_letter.name, None, None, []))
    async with open_log(servers, topics.dead_letter.name) as log:
        letters = [each.letter for each in await everything(log, marks)]
        await marks.discard(letters, "not ours")
        assert {each.state for each in await everything(log, marks)} == {State.DISCARDED}


async def test_the_last_mark_counts(servers: str, topics: Topics, marks: Marks) -> None:
    (position,) = await bury(servers, letter(topics))
    async with open_log(servers, topics.dead_letter.name) as log:
        one = await log.at(parse_position(position))
        await marks.discard([one], "by mistake")
        await send_back(servers, marks, [one])
        assert [each.state for each in await everything(log, marks)] == [State.REDRIVEN]


async def test_what_came_back_knows_its_redrives(servers: str, topics: Topics, marks: Marks) -> None:
    origin = topics.upload_completed_image.name
    sent = letter(topics)
    for _ in range(3):
        (position,) = await bury(servers, sent)
        async with open_log(servers, topics.dead_letter.name) as log:
            one = await log.at(parse_position(position))
            await send_back(servers, marks, [one])
        last = (await read(servers, origin, await size(servers, origin)))[-1]
        sent = letter(topics, key=last.key)
        fields = {"topic": last.topic, "partition": str(last.partition), "offset": str(last.offset)}
        sent = OutgoingRecord(
            sent.topic,
            sent.key,
            sent.value,
            [(f"dead-letter-{name}", text.encode()) for name, text in fields.items()],
        )
    (position,) = await bury(servers, sent)

    async with open_log(servers, topics.dead_letter.name) as log:
        letters = [each.letter for each in await everything(log, marks)]
        earlier = await marks.earlier(letters)

    counts = sorted(len(earlier.get(each.origin, [])) for each in letters)
    assert counts == [0, 1, 2, 3]
    (longest,) = [actions for actions in earlier.values() if len(actions) == 3]
    targets = [action.details["to"] for action in longest]
    assert [action.details["origin"] for action in longest[1:]] == targets[:-1], "oldest first"


async def test_a_position_that_is_not_there_is_refused(servers: str, topics: Topics) -> None:
    name = topics.dead_letter.name
    (position,) = await bury(servers, letter(topics))
    partition = parse_position(position).partition
    empty = (partition + 1) % 4
    async with open_log(servers, name) as log:
        for wanted, fault in (
            (Position(partition, 1), f"{name} has no {partition}:1: it has 0 to 0"),
            (Position(empty, 0), f"{name} has no {empty}:0: partition {empty} is empty"),
            (Position(4, 0), f"{name} has no 4:0: its partitions are 0, 1, 2, 3"),
        ):
            with pytest.raises(ConfigurationError) as refused:
                await log.at(wanted)
            assert str(refused.value) == fault


async def test_a_broker_that_is_away_or_has_no_topic_is_said(servers: str) -> None:
    with pytest.raises(TransientError, match="Kafka does not answer"):
        async with open_log("127.0.0.1:1", "t"):
            pass
    with pytest.raises(ConfigurationError, match="Kafka has no topic never-made"):
        async with open_log(servers, "never-made"):
            pass
