"""Dead letters as operators handle them, without a broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from mediagate.dead_letter_queue import (
    Filters,
    Letter,
    Position,
    State,
    letter_of,
    parse_position,
    ways_back,
)
from mediagate.dead_letter_queue.marks import Mark
from mediagate.dead_letter_queue.options import Options, parse_rate
from mediagate.dead_letter_queue.page import page
from mediagate.dead_letter_queue.redrive import BATCH, Found, work_off
from mediagate.dead_letter_queue.summary import Newest
from mediagate.errors import ConfigurationError
from mediagate.operator_actions import Action, OperatorAction
from mediagate.topics import load_topics
from tests.dead_letters import letter, record_of

TOPICS = load_topics(Path(__file__).parents[2] / "topics.yaml")
IMAGES = TOPICS.upload_completed_image.name
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
MEDIA_ID = UUID(int=7)


def one(offset: int = 17, timestamp: int = 1_900_000_000_000, **said: object) -> Letter:
    return letter_of(record_of(letter(TOPICS, **said), offset=offset, timestamp=timestamp))  # type: ignore[arg-type]


def test_a_letter_says_where_from_and_why() -> None:
    found = one(headers=[("ce_id", b"1")], error="size: 0")
    assert (found.position, str(found.position)) == (Position(2, 17), "2:17")
    assert (found.origin_topic, found.origin) == (IMAGES, f"{IMAGES}:3:41")
    assert (found.reason, found.error, found.attempts) == ("invalid_data", "size: 0", 1)
    assert found.at == datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)


def test_the_restored_record_is_the_one_that_arrived() -> None:
    headers = [("x", b"\xff\x00"), ("x", b""), ("null", None), ("dead-letterish", b"1")]
    found = one(key=None, value=None, headers=headers)
    restored = found.restored(IMAGES)
    assert (restored.topic, restored.key, restored.value) == (IMAGES, None, None)
    assert list(restored.headers) == headers


@pytest.mark.parametrize("timestamp", [-1, 2**62])
def test_a_record_that_nobody_dead_lettered_is_shown_too(timestamp: int) -> None:
    made_up = [
        ("dead-letter-reason", b"\x1b[2J" + b"r" * 1000),
        ("dead-letter-attempts", b"9" * 400),
        ("dead-letter-topic", None),
        ("dead-letter-offset", b"\xff"),
    ]
    record = record_of(letter(TOPICS), timestamp=timestamp)
    found = letter_of(type(record)(*[*record.__dict__.values()][:-1], tuple(made_up)))
    assert found.origin == "?:?:\ufffd"
    assert found.reason.startswith(r"\x1b[2Jrrr")
    assert len(found.reason) == 300
    assert (found.attempts, found.error) == (1, "")
    assert found.at.year in (1970, 9999)


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        (Filters(), True),
        (Filters(reasons=frozenset({"invalid_data", "other"})), True),
        (Filters(reasons=frozenset({"other"})), False),
        (Filters(topic=IMAGES), True),
        (Filters(topic=TOPICS.approved.name), False),
        (Filters(since=one().at), True),
        (Filters(since=one().at + timedelta(milliseconds=1)), False),
        (Filters(until=one().at), False),
        (Filters(until=one().at + timedelta(milliseconds=1)), True),
        (Filters(media_id=str(MEDIA_ID)), True),
        (Filters(media_id=str(UUID(int=8))), False),
        (Filters(topic=IMAGES, reasons=frozenset({"other"})), False),
    ],
)
def test_filters_all_have_to_fit(filters: Filters, fits: bool) -> None:
    assert filters.fit(one(key=str(MEDIA_ID).encode())) is fits
    assert filters.fit(one(key=None, value=b'{"media_id": "%s", trunca' % str(MEDIA_ID).encode())) is fits
    assert not Filters(media_id=str(MEDIA_ID)).fit(one(key=None, value=None))


def test_letters_go_back_to_topics_that_workers_read() -> None:
    read = (TOPICS.approved, TOPICS.rejected, TOPICS.held, TOPICS.upload_completed_image)
    other = (TOPICS.published, TOPICS.quarantined, TOPICS.dead_letter)
    assert ways_back(TOPICS) >= {topic.name for topic in read}
    assert ways_back(TOPICS).isdisjoint({topic.name for topic in other})


@pytest.mark.parametrize(
    ("options", "selection"),
    [
        (Options(positions=["0:1", "2:3", "0:1"]), [Position(0, 1), Position(2, 3)]),
        (Options(every=True), Filters()),
        (Options(reason=["a", "b"]), Filters(reasons=frozenset({"a", "b"}))),
        (Options(since="PT1H"), Filters(since=NOW - timedelta(hours=1))),
        (Options(until="2030-01-01T00:00:00"), Filters(until=datetime(2030, 1, 1, tzinfo=UTC))),
        (Options(media_id=MEDIA_ID, topic="t"), Filters(media_id=str(MEDIA_ID), topic="t")),
    ],
)
def test_options_say_which_letters(options: Options, selection: object) -> None:
    assert options.selection(NOW) == selection


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (Options(), "say which letters"),
        (Options(every=True, topic="t"), "say which letters"),
        (Options(positions=["0:1"], every=True), "say which letters"),
        (Options(positions=["0:1"], reason=["a"]), "say which letters"),
        (Options(positions=["0:1", "7"]), "'7' is no PARTITION:OFFSET such as 2:17"),
        (Options(since="yesterday"), "--since: 'yesterday' is no datetime"),
        (Options(until="P1X"), "--until: 'P1X' is no duration"),
        (Options(since="P999999D"), "--since: 'P999999D' is before year 1"),
    ],
)
def test_options_that_say_nothing_clear_are_refused(options: Options, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        options.selection(NOW)


def test_positions_and_rates_are_numbers() -> None:
    assert parse_position("0:0") == Position(0, 0)
    assert [parse_rate(text) for text in (None, "5", "50/s")] == [None, 5, 50]
    for text in ("0", "-1", "1/m", "", "1.5"):
        with pytest.raises(ConfigurationError, match="is no rate such as 50/s"):
            parse_rate(text)


def test_the_newest_are_kept_and_all_are_counted() -> None:
    newest = Newest(3)
    for offset in (5, 1, 4, 2, 3):
        newest.add(Found(one(offset, 1_000 * offset), None))
    newest.add(Found(one(6, 1_000 * 4, reason="other"), None))
    assert [found.letter.position.offset for found in newest.letters] == [4, 6, 5]
    assert newest.by_reason == {"invalid_data": 5, "other": 1}
    assert all(found.letter.value is None for found in newest.letters)


async def letters(count: int) -> AsyncIterator[Letter]:
    for offset in range(count):
        yield one(offset)


@pytest.mark.parametrize(
    ("count", "rate", "batches"), [(0, None, []), (BATCH + 1, None, [BATCH, 1]), (5, 1000, [5])]
)
async def test_letters_are_worked_off_in_batches(count: int, rate: int | None, batches: list[int]) -> None:
    done: list[int] = []
    told: list[int] = []

    async def act(some: Sequence[Letter]) -> None:
        done.append(len(some))

    assert await work_off(letters(count), act, rate, asyncio.Event(), told.append) == count
    assert done == told == batches


async def test_a_stop_ends_between_two_batches_and_cuts_the_pause_short() -> None:
    stop = asyncio.Event()
    done: list[Letter] = []

    async def act(some: Sequence[Letter]) -> None:
        done.extend(some)
        if len(done) == 2:
            stop.set()

    async with asyncio.timeout(30):
        assert await work_off(letters(100), act, 1, stop, lambda _: None) == 2
    assert [each.position.offset for each in done] == [0, 1]


def test_a_page_says_all_and_does_nothing_to_the_terminal() -> None:
    found = one(
        error="\x1b[31m[bold]",
        key=b"\xff",
        value=b'{"a": "\\u001b"}',
        headers=[("n\x1bame", b"\x07"), ("n", b"\xfe")],
    )
    earlier = OperatorAction(NOW, "ana\x1b", Action.REDRIVE, "dlq:0:1", {"to": "t:3:41"})
    begun = OperatorAction(NOW, "bo", Action.REDRIVE, "dlq:2:17", {})
    gone = OperatorAction(NOW, "bo", Action.DISCARD, "dlq:2:17", {"note": "not\nours"})

    lines = page("dlq", Found(found, Mark(State.DISCARDED, NOW, "bo")), 1, [earlier, begun, gone])

    assert lines.splitlines() == [
        "letter  2:17 of dlq",
        "when    2030-03-17 17:46:40",
        "state   discarded",
        f"origin  {IMAGES}:3:41",
        "reason  invalid_data",
        r"error   \x1b[31m[bold]",
        "tries   2",
        "key     0xff",
        "",
        "headers",
        r"  n\x1bame: \x07",
        "  n: 0xfe",
        "",
        "value   15 bytes, JSON",
        "{",
        r'  "a": "\u001b"',
        "}",
        "",
        "history",
        r"  2030-01-02 03:04:05  ana\x1b  redrive  dlq:0:1 to t:3:41",
        "  2030-01-02 03:04:05  bo  redrive  dlq:2:17: broken off, perhaps sent",
        r"  2030-01-02 03:04:05  bo  discard  dlq:2:17: not\nours",
    ]


def test_a_page_is_bounded_whatever_the_letter() -> None:
    found = one(value=b"x" * 10**6, headers=[("h" * 10**5, b"v" * 10**5)] * 1000)
    assert len(page("dlq", Found(found, None), 0, [])) < 100_000
    assert "headers none" in page("dlq", Found(one(value=None), None), 0, [])
    assert "value   null" in page("dlq", Found(one(value=None), None), 0, [])
