"""What was published once is understood for ever, and what a newer version adds does no harm.

`oldest_events/` holds records as the first published version of their type was sent. They are never changed.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from mediagate.binary_mode import Header
from mediagate.event_schemas import schema_of
from mediagate.events import (
    DECISION_TYPES,
    EVENT_MODELS,
    Decision,
    Event,
    EventModel,
    EventType,
    Outcome,
    UploadCompleted,
    decode,
    encode,
)
from mediagate.policy import load_policy
from mediagate.scanners import Scanned
from mediagate.topics import load_topics
from sinks.decisions import decode_decision
from streams.cases import Case, Scored
from streams.decisions import decision_of, decision_record

ROOT = Path(__file__).parents[2]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
OLDEST = sorted(Path(__file__).with_name("oldest_events").glob("*.json"))
ADDED = {"added_later": {"by": ["a newer", None, 1]}}

each_record = pytest.mark.parametrize("path", OLDEST, ids=[path.stem for path in OLDEST])


class Frozen:
    """One record of `oldest_events/`."""

    def __init__(self, path: Path) -> None:
        record = json.loads(path.read_text())
        self.key = record["key"].encode()
        self.headers: list[Header] = [(name, text.encode()) for name, text in record["headers"].items()]
        self.value: dict[str, Any] = json.loads(record["value"])
        self.type = EventType(record["headers"]["ce_type"])

    def decoded(self, value: dict[str, Any] | None = None, *more: Header) -> Event[EventModel]:
        """The event, read as its consumer reads it."""
        content = json.dumps(self.value if value is None else value).encode()
        headers = [*self.headers, *more]
        if self.type in DECISION_TYPES.values():
            event: Event[Any] = decode_decision(self.key, content, headers, self.type)
            return event
        return decode(self.key, content, headers, EVENT_MODELS[self.type], self.type)


def dumped(data: EventModel) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(data.model_dump_json())
    return content


def with_additions(value: Any) -> Any:
    """The value with an unknown field in it and in each object within; scores may have any names."""
    if not isinstance(value, dict):
        return value
    return {
        name: inner if name == "scores" else with_additions(inner) for name, inner in value.items()
    } | ADDED


def leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def test_every_event_type_and_outcome_has_a_frozen_record() -> None:
    records = [Frozen(path) for path in OLDEST]

    assert {record.type for record in records} == set(EventType)
    assert {record.value["outcome"] for record in records if "outcome" in record.value} == set(Outcome)


@each_record
def test_the_oldest_version_is_read_as_it_was_meant(path: Path) -> None:
    record = Frozen(path)

    event = record.decoded()

    assert dict(leaves(record.value)).items() <= dict(leaves(dumped(event.data))).items()
    assert dict(encode(event, "topic").headers).items() >= dict(record.headers).items()


@each_record
def test_the_oldest_version_is_valid_by_the_published_schema(path: Path) -> None:
    record = Frozen(path)

    Draft202012Validator(schema_of(record.type), format_checker=FormatChecker(["uuid"])).validate(
        record.value
    )


@each_record
def test_unknown_fields_are_kept_at_every_depth(path: Path) -> None:
    record = Frozen(path)
    newer = with_additions(record.value)

    event = record.decoded(newer)

    assert dict(leaves(newer)).items() <= dict(leaves(dumped(event.data))).items()


@each_record
def test_unknown_headers_are_ignored(path: Path) -> None:
    record = Frozen(path)

    assert record.decoded(None, ("ce_addedlater", b"1"), ("x-anything", b"\xff\x00")) == record.decoded()


def test_an_unknown_field_of_an_upload_stands_in_its_decision() -> None:
    upload = Frozen(next(path for path in OLDEST if path.stem == "upload-completed"))
    value = json.dumps(upload.value | ADDED).encode()
    event = decode(upload.key, value, upload.headers, UploadCompleted, EventType.UPLOAD_COMPLETED)
    case = Case(event, finding=Scored(Scanned({"nsfw": 0.01}), "local", "m1"))
    decision = decision_of(case, load_policy(ROOT / "policy.yaml"), None)

    record = decision_record(event, decision, load_topics(ROOT / "topics.yaml"), NOW)

    read = decode(record.key, record.value, record.headers, Decision, EventType.APPROVED)
    assert dumped(read.data.upload)["added_later"] == ADDED["added_later"]
