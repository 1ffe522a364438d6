"""asyncapi.yaml is current, valid AsyncAPI 3, and says what is really sent."""

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from mediagate.asyncapi import (
    DEAD_LETTER_HEADERS,
    HEADERS,
    REQUIRED_HEADERS,
    asyncapi_document,
    asyncapi_yaml,
)
from mediagate.errors import DeadLetterError
from mediagate.event_examples import EXAMPLES, dead_letter_example
from mediagate.event_schemas import SUMMARIES, Json
from mediagate.events import EVENT_MODELS, EventType, decode
from mediagate.topics import Topics, load_topics
from tests.decisions import recorded

ROOT = Path(__file__).parents[2]
FORMATS = FormatChecker(["uuid"])
FORMATS.checks("date-time", ValueError)(datetime.fromisoformat)


@pytest.fixture(scope="module")
def topics() -> Topics:
    return load_topics(ROOT / "topics.yaml")


@pytest.fixture(scope="module")
def document(topics: Topics) -> Json:
    return asyncapi_document(topics)


@pytest.fixture(scope="module")
def asyncapi_3() -> Draft7Validator:
    """The specification's own schema."""
    packed = Path(__file__).with_name("asyncapi_3") / "schema.json.gz"
    return Draft7Validator(json.loads(gzip.decompress(packed.read_bytes())))


def resolved(document: Json, reference: str) -> Any:
    target: Any = document
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    return target


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def faults(document: Json, schema: Json, value: object) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    whole = {"components": document["components"], "allOf": [schema]}
    return [error.message for error in Draft7Validator(whole, format_checker=FORMATS).iter_errors(value)]


def messages(document: Json) -> Iterator[tuple[str, Json]]:
    yield from document["components"]["messages"].items()


def test_the_committed_file_is_current(topics: Topics) -> None:
    current = asyncapi_yaml(topics)

    assert (ROOT / "asyncapi.yaml").read_text() == current, "mediagate events asyncapi > asyncapi.yaml"


def test_the_file_holds_the_document(topics: Topics, document: Json) -> None:
    assert yaml.safe_load(asyncapi_yaml(topics)) == document


def test_it_is_valid_asyncapi_3(document: Json, asyncapi_3: Draft7Validator) -> None:
    error = best_match(asyncapi_3.iter_errors(document))

    assert error is None, f"{error.json_path}: {error.message}"


@pytest.mark.parametrize(
    "path",
    [
        ("channels", "approved", "bindings", "kafka", "partitions"),
        ("operations", "send_approved", "action"),
        ("components", "messages", "approved", "bindings", "kafka", "key"),
        ("components", "schemas", "Decision", "type"),
    ],
)
def test_a_fault_would_be_seen(topics: Topics, asyncapi_3: Draft7Validator, path: tuple[str, ...]) -> None:
    broken = asyncapi_document(topics)
    resolved(broken, "/".join(path[:-1]))[path[-1]] = "nonsense"

    assert not asyncapi_3.is_valid(broken)


def test_every_reference_leads_somewhere(document: Json) -> None:
    assert [reference for reference in references(document) if not resolved(document, reference)] == []


def test_every_topic_is_a_channel_with_its_message(topics: Topics, document: Json) -> None:
    channels = document["channels"].values()

    assert [channel["address"] for channel in channels] == [topic.name for topic in topics.all()]
    for topic, channel in zip(topics.all(), channels, strict=True):
        ((_, reference),) = channel["messages"].items()
        message = resolved(document, reference["$ref"])
        assert message["name"] == (topic.event or "dead-letter")
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions


def test_only_what_mediagate_does_is_an_operation(document: Json) -> None:
    assert "send_published" in document["operations"]
    assert "receive_published" not in document["operations"]
    assert document["operations"]["send_upload_completed_image"]["summary"] == "By gateway, recovery"


def test_every_event_type_has_a_summary_and_an_example() -> None:
    assert set(SUMMARIES) == set(EXAMPLES) == set(EventType)


def test_every_example_is_valid_by_its_own_schema(document: Json) -> None:
    for name, message in messages(document):
        (example,) = message["examples"]
        assert faults(document, message["headers"], example["headers"]) == [], name
        assert faults(document, message["payload"], example["payload"]) == [], name


def test_every_example_is_an_event() -> None:
    for event_type, record in EXAMPLES.items():
        event = decode(record.key, record.value, record.headers, EVENT_MODELS[event_type], event_type)
        assert event.type is event_type


def test_examples_carry_every_documented_header() -> None:
    named = {name for record in EXAMPLES.values() for name, _ in record.headers}
    letter = {name for name, _ in dead_letter_example("topic").headers}

    assert named == set(HEADERS)
    assert letter - set(HEADERS) == set(DEAD_LETTER_HEADERS)


def test_headers_that_are_required_are_those_that_an_event_cannot_do_without() -> None:
    record = EXAMPLES[EventType.UPLOAD_COMPLETED]
    model = EVENT_MODELS[EventType.UPLOAD_COMPLETED]
    required = [header for header in record.headers if header[0] in REQUIRED_HEADERS]

    decode(record.key, record.value, required, model, EventType.UPLOAD_COMPLETED)
    for name in ("ce_id", "ce_type", "ce_source"):
        with pytest.raises(DeadLetterError):
            fewer = [header for header in required if header[0] != name]
            decode(record.key, record.value, fewer, model, EventType.UPLOAD_COMPLETED)


def test_a_schema_refuses_what_the_code_refuses(document: Json) -> None:
    upload = json.loads(EXAMPLES[EventType.UPLOAD_COMPLETED].value or b"")
    approved = json.loads(recorded(outcome="rejected").data.model_dump_json())
    payloads = {name: message["payload"] for name, message in messages(document)}

    for change in ({"size": 0}, {"sha256": "f" * 63}, {"media_id": "1"}, {"occurred_at": "yesterday"}):
        assert faults(document, payloads["upload-completed"], upload | change), change
    assert faults(document, payloads["rejected"], approved) == []
    assert faults(document, payloads["approved"], approved)
