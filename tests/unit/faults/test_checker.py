"""The checker says nothing of a sound world, and names every way in which one is not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from mediagate.events import EventType, event_id
from mediagate.jobs import State
from tests.faults.checker import Accepted, Asked, Evidence, Layout, Moment, Record, violations

LAYOUT = Layout(
    frozenset({"uploads"}),
    frozenset({"approved", "rejected", "held"}),
    frozenset({"published", "quarantined"}),
    "dead",
    "temp",
)
POISON = b"poison"
DECISIONS = {State.PUBLISHED: "approved", State.QUARANTINED: "rejected", State.NEEDS_REVIEW: "held"}
KINDS = {"approved": EventType.APPROVED, "rejected": EventType.REJECTED, "held": EventType.HELD}
ANSWERS = [("{}", "1"), ("{}", "1"), ("{'other': 1}", None)]
"""To requests for an upload under one key."""
NEWS = {State.PUBLISHED: EventType.PUBLISHED, State.QUARANTINED: EventType.QUARANTINED}


class World:
    """One upload at each end, and poison."""

    def __init__(self) -> None:
        self.ids = {state: uuid4() for state in (*DECISIONS, State.EXPIRED)}
        self.evidence = Evidence(LAYOUT, [], [POISON], [], [], [], [], {("temp", "canary/1"): "c"}, [], [])
        for state, media_id in self.ids.items():
            sha256 = None if state is State.EXPIRED else f"hash of {state}"
            self.list_of("accepted").append(Accepted(str(media_id), sha256, state))
            self.list_of("jobs").append(
                {"media_id": media_id, "state": state.value, "bucket": "temp", "key": state.value}
            )
        for state, topic in DECISIONS.items():
            self._end(state, topic, self.ids[state])
        self.send("uploads", POISON, {}, key=None)
        origin = {"topic": b"uploads", "partition": b"0", "offset": b"3"}
        self.send("dead", POISON, {f"dead-letter-{name}": value for name, value in origin.items()}, key=None)
        self.list_of("moments").append(self.moment())
        self.list_of("asked").extend(Asked("key", body, answer) for body, answer in ANSWERS)

    def list_of(self, name: str) -> list[Any]:
        found = getattr(self.evidence, name)
        assert isinstance(found, list)
        return found

    def send(self, topic: str, value: bytes, headers: dict[str, bytes], key: UUID | None) -> None:
        offset = len(self.evidence.of(frozenset({topic})))
        name = None if key is None else str(key).encode()
        self.list_of("records").append(Record(topic, 0, offset, name, value, headers))

    def moment(self) -> Moment:
        """Everything is read and committed."""
        topics = {record.topic for record in self.evidence.records}
        ends = {(topic, 0): len(self.evidence.of(frozenset({topic}))) for topic in topics}
        return Moment(ends, ends)

    def change(self, topic: str, **fields: Any) -> None:
        """Another first record of a topic."""
        (index, record), *_ = [
            (index, each) for index, each in enumerate(self.evidence.records) if each.topic == topic
        ]
        self.list_of("records")[index] = replace(record, **fields)

    def repeat(self, topic: str, **fields: Any) -> None:
        """The first record of a topic once more."""
        first = self.evidence.of(frozenset({topic}))[0]
        self.list_of("records").append(replace(first, offset=9, **fields))

    def drop(self, topic: str) -> None:
        """A topic without records."""
        self.list_of("records")[:] = [each for each in self.evidence.records if each.topic != topic]

    def _end(self, state: State, topic: str, media_id: UUID) -> None:
        cause = event_id(EventType.UPLOAD_COMPLETED, media_id, "1")
        self.send("uploads", b"{}", {"ce_id": cause.encode()}, media_id)
        kind = KINDS[topic]
        self.send(topic, b"{}", _headers(kind, event_id(kind, media_id, cause), cause), media_id)
        place = {"bucket": "temp", "key": state.value}
        if state in NEWS:
            place = {"bucket": "home", "key": str(media_id)}
            rows = self.list_of("items" if state is State.PUBLISHED else "reports")
            rows.append({"media_id": media_id, **place})
            told = NEWS[state]
            name = "published" if state is State.PUBLISHED else "quarantined"
            self.send(name, b"{}", _headers(told, event_id(told, media_id, "final")), media_id)
        assert isinstance(self.evidence.objects, dict)
        self.evidence.objects[place["bucket"], place["key"]] = f"hash of {state}"


def _headers(kind: EventType, id_: str, cause: str = "") -> dict[str, bytes]:
    said = {"ce_id": id_, "ce_type": kind.value, "ce_time": "now", "ce_causationid": cause}
    return {name: value.encode() for name, value in said.items()}


@pytest.fixture
def world() -> World:
    return World()


def test_says_nothing_of_a_sound_world(world: World) -> None:
    assert violations(world.evidence) == []


def test_a_repetition_may_differ_in_its_time_alone(world: World) -> None:
    first = world.evidence.of(frozenset({"approved"}))[0]
    world.repeat("approved", headers={**first.headers, "ce_time": b"later"})
    world.repeat("published")
    assert violations(world.evidence) == []


def _faults() -> Iterator[tuple[str, str, Callable[[World], object]]]:
    def objects(world: World) -> dict[tuple[str, str], str]:
        assert isinstance(world.evidence.objects, dict)
        return world.evidence.objects

    def home(world: World) -> tuple[str, str]:
        return "home", str(world.ids[State.PUBLISHED])

    yield "lost", "ends", lambda world: world.list_of("jobs")[0].update(state="queued")
    yield "another end", "ends", lambda world: world.list_of("jobs")[0].update(state="quarantined")
    yield "no row", "ends", lambda world: world.list_of("jobs").pop()
    yield "an unknown row", "ends", lambda world: world.list_of("accepted").pop()
    yield "no item", "effects", lambda world: world.list_of("items").clear()
    yield "two reports", "effects", lambda world: world.list_of("reports").append(world.evidence.reports[0])
    yield (
        "an item too many",
        "effects",
        lambda world: world.list_of("items").append(world.evidence.reports[0]),
    )
    yield "no object", "places", lambda world: objects(world).pop(home(world))
    yield "other bytes", "places", lambda world: objects(world).update({home(world): "other"})
    yield "a held object gone", "places", lambda world: objects(world).pop(("temp", "needs_review"))
    yield "an orphan in temp", "places", lambda world: objects(world).update({("temp", "published"): "x"})
    yield "an orphan elsewhere", "places", lambda world: objects(world).update({("home", "x"): "x"})
    yield "a canary elsewhere", "places", lambda world: objects(world).update({("home", "canary/1"): "x"})
    yield "an id of chance", "decisions", lambda world: world.repeat("approved", headers=_other_id(world))
    yield (
        "a decision on nothing",
        "decisions",
        lambda world: world.repeat("approved", key=str(uuid4()).encode()),
    )
    yield "a decision that differs", "decisions", lambda world: world.repeat("approved", value=b"[]")
    yield "two ids of one news", "news", lambda world: world.repeat("published", headers=_other_id(world))
    yield "news that differs", "news", lambda world: world.repeat("published", value=b"[]")
    yield "no news", "news", lambda world: world.drop("quarantined")
    yield "news of a stranger", "news", lambda world: world.repeat("published", key=str(uuid4()).encode())
    yield "committed, never decided", "offsets", lambda world: world.drop("approved")
    yield "committed too early", "offsets", lambda world: world.list_of("moments").insert(0, _before(world))
    yield (
        "committed, not carried out",
        "effects_before_offsets",
        lambda world: world.list_of("jobs")[0].update(state="approved"),
    )
    yield "poison that vanished", "dead_letters", lambda world: world.drop("dead")
    yield "poison that changed", "dead_letters", lambda world: world.change("dead", value=b"other")
    yield (
        "two uploads of one key",
        "keys",
        lambda world: world.list_of("asked").append(Asked("key", "{}", "2")),
    )
    yield (
        "a key that two bodies share",
        "keys",
        lambda world: world.list_of("asked").append(Asked("key", "{'other': 1}", "1")),
    )


def _other_id(world: World) -> dict[str, bytes]:
    first = world.evidence.of(frozenset({"approved"}))[0]
    return {**first.headers, "ce_id": str(uuid4()).encode()}


def _before(world: World) -> Moment:
    """All uploads are committed, no decision was there yet."""
    return replace(world.moment(), ends={("uploads", 0): 9})


@pytest.mark.parametrize(("name", "check", "breaks"), list(_faults()))
def test_names_what_is_not_sound(
    world: World, name: str, check: str, breaks: Callable[[World], object]
) -> None:
    breaks(world)
    assert any(line.startswith(f"{check}: ") for line in violations(world.evidence)), name
