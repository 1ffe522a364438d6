"""One record: carried out, retried, dead-lettered or the end of the process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stamina

from mediagate.errors import DeadLetterError, StopError, TransientError
from mediagate.event_examples import EXAMPLES
from mediagate.events import Decision, Event, EventType, Override, OverrideVerdict, encode
from mediagate.jobs import State
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import load_topics
from sinks.handler import ATTEMPTS, Handler
from tests.uploads import NOW, upload

ROOT = Path(__file__).parents[3]
TOPICS = load_topics(ROOT / "topics.yaml")
UPLOAD = upload().data
MEDIA_ID = UPLOAD.media_id


@dataclass
class Message:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Any
    partition: int = 3
    offset: int = 42


class CarryOut:
    """Raises the given failures one after the other, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.calls = 0

    async def __call__(self, event: Event[Decision]) -> State:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return State.UNSCANNABLE


class Uncapped:
    """Lets everything become a dead letter."""

    def passed(self, stream: str) -> None:
        pass

    async def refusal(self, stream: str, faults: Sequence[DeadLetterError]) -> str | None:
        return None


async def no_override(event: Event[Override]) -> State:
    pytest.fail(f"{event.type} is no override")


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def held() -> Message:
    decision = Decision.model_validate(
        {"media_id": MEDIA_ID, "outcome": "unscannable", "reasons": ["truncated"], "upload": UPLOAD}
    )
    record = encode(Event("1", EventType.HELD, "/test", NOW, str(MEDIA_ID), decision), TOPICS.held.name)
    return Message(record.topic, record.key, record.value, record.headers)


async def test_a_decision_is_carried_out_once() -> None:
    carry_out, publisher = CarryOut(), InMemoryPublisher()

    await Handler(TOPICS, carry_out, no_override, publisher, Uncapped())(held())

    assert carry_out.calls == 1
    assert publisher.records == []


async def test_an_override_is_carried_out_as_one() -> None:
    record = EXAMPLES[EventType.OVERRIDE]
    overrides: list[Event[Override]] = []

    async def override(event: Event[Override]) -> State:
        overrides.append(event)
        return State.QUARANTINED

    carry_out, publisher = CarryOut(), InMemoryPublisher()
    handler = Handler(TOPICS, carry_out, override, publisher, Uncapped())
    await handler(Message(TOPICS.overrides.name, record.key, record.value, record.headers))
    await handler(Message(TOPICS.held.name, record.key, record.value, record.headers))
    await handler(Message(TOPICS.overrides.name, held().key, held().value, held().headers))

    assert [event.data.verdict for event in overrides] == [OverrideVerdict.REJECT]
    assert carry_out.calls == 0
    reasons = [dict(letter.headers)["dead-letter-reason"] for letter in publisher.records]
    assert reasons == [b"unexpected_event_type"] * 2


async def test_a_dependency_that_comes_back_is_waited_for() -> None:
    carry_out = CarryOut(TransientError("away"), TransientError("away"))

    await Handler(TOPICS, carry_out, no_override, InMemoryPublisher(), Uncapped())(held())

    assert carry_out.calls == 3


async def test_a_dependency_that_stays_away_ends_the_process() -> None:
    carry_out = CarryOut(*[TransientError("S3 is away")] * 100)

    with pytest.raises(StopError, match="10 attempts failed, the last with: S3 is away"):
        await Handler(TOPICS, carry_out, no_override, InMemoryPublisher(), Uncapped())(held())

    assert carry_out.calls == ATTEMPTS


async def test_a_reason_to_stop_is_not_tried_again() -> None:
    carry_out = CarryOut(StopError("refused"))

    with pytest.raises(StopError, match="refused"):
        await Handler(TOPICS, carry_out, no_override, InMemoryPublisher(), Uncapped())(held())

    assert carry_out.calls == 1


@pytest.mark.parametrize("undecodable", [True, False])
async def test_what_can_never_work_goes_to_the_dead_letter_topic(undecodable: bool) -> None:
    publisher, message = InMemoryPublisher(), held()
    message.headers = [*message.headers, ("dead-letter-attempts", b"2"), ("odd", None)]
    if undecodable:
        message.value = b"\xff"
    carry_out = CarryOut(DeadLetterError("no_free_name", "all taken"))

    await Handler(TOPICS, carry_out, no_override, publisher, Uncapped())(message)

    assert carry_out.calls == (not undecodable)
    (letter,) = publisher.of_topic(TOPICS.dead_letter.name)
    assert (letter.key, letter.value) == (message.key, message.value)
    headers = dict(letter.headers)
    assert headers["dead-letter-topic"] == TOPICS.held.name.encode()
    assert (headers["dead-letter-partition"], headers["dead-letter-offset"]) == (b"3", b"42")
    assert headers["dead-letter-attempts"] == b"3"
    assert headers["dead-letter-reason"] == (b"invalid_data" if undecodable else b"no_free_name")


async def test_a_dead_letter_that_nobody_takes_ends_the_process() -> None:
    publisher, message = InMemoryPublisher(), held()
    publisher.available = False
    message.value = b"\xff"

    with pytest.raises(StopError, match="the broker is away"):
        await Handler(TOPICS, CarryOut(), no_override, publisher, Uncapped())(message)
