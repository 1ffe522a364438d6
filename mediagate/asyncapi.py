"""The topics as an AsyncAPI 3 document, made from topics.yaml and the events' models."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import yaml

from mediagate.event_examples import EXAMPLES, dead_letter_example
from mediagate.event_schemas import SUMMARIES, Json, model_schemas, narrowed, short_name
from mediagate.events import EVENT_MODELS, EventType, OutgoingRecord
from mediagate.topics import Topic, Topics

KAFKA_BINDING = "0.5.0"
DEAD_LETTER = "dead-letter"
OUTSIDE = frozenset({"upstream services", "downstream services", "operators"})
"""Producers and consumers that are no part of Mediagate."""
HEAD = "# Made by `mediagate events asyncapi > asyncapi.yaml` from topics.yaml and the events' models.\n"
LINE_WIDTH = 110

REQUIRED_HEADERS = ("ce_specversion", "ce_id", "ce_type", "ce_source")
HEADERS: Mapping[str, Json] = {
    "ce_specversion": {"const": "1.0", "description": "CloudEvents' version"},
    "ce_id": {"minLength": 1, "description": "The event's id: every repetition of an event has the same"},
    "ce_type": {"minLength": 1, "description": "The event's type and its version"},
    "ce_source": {"minLength": 1, "description": "Who sent it, such as `/mediagate/sinks`"},
    "ce_time": {"format": "date-time", "description": "When it was sent; of news, when the upload was moved"},
    "ce_subject": {"format": "uuid", "description": "The media_id"},
    "ce_causationid": {"description": "`ce_id` of the event that this one answers or replays"},
    "content-type": {"const": "application/json", "description": "What the value is"},
    "traceparent": {"description": "W3C trace context, passed on since the upload was completed"},
}
DEAD_LETTER_HEADERS: Mapping[str, Json] = {
    "dead-letter-topic": {"description": "Topic that the record was read from"},
    "dead-letter-partition": {"pattern": "^[0-9]+$", "description": "Its partition there"},
    "dead-letter-offset": {"pattern": "^[0-9]+$", "description": "Its offset there"},
    "dead-letter-reason": {"pattern": "^[a-z_]+$", "description": "Which rule it broke"},
    "dead-letter-error": {"description": "What is wrong, and in which fields"},
    "dead-letter-attempts": {
        "pattern": "^[1-9][0-9]*$",
        "description": "How often it became a dead letter; counted anew after `mediagate dlq redrive`",
    },
}


def asyncapi_document(topics: Topics) -> Json:
    """The document."""
    channels: dict[str, Topic] = dict(topics)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mediagate",
            "version": version("mediagate"),
            "description": "The topics of the moderation gate. docs/events.md says what can be relied on.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {name: _channel(topic) for name, topic in channels.items()},
        "operations": {
            operation: described
            for name, topic in channels.items()
            for operation, described in _operations(name, topic).items()
        },
        "components": {
            "messages": {
                **{short_name(event_type): _event_message(event_type) for event_type in EventType},
                DEAD_LETTER: _dead_letter_message(topics),
            },
            "schemas": {
                "EventHeaders": _headers(HEADERS, REQUIRED_HEADERS),
                "DeadLetterHeaders": _headers(DEAD_LETTER_HEADERS, DEAD_LETTER_HEADERS),
                **model_schemas("#/components/schemas/{model}"),
            },
        },
    }


def asyncapi_yaml(topics: Topics) -> str:
    """The document as it stands in asyncapi.yaml."""
    return HEAD + yaml.dump(
        asyncapi_document(topics), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=LINE_WIDTH
    )


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice twice, instead of a name for it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _server() -> Json:
    return {
        "host": "{bootstrap_servers}",
        "protocol": "kafka",
        "variables": {"bootstrap_servers": {"description": "KAFKA_BOOTSTRAP_SERVERS of this installation"}},
    }


def _channel(topic: Topic) -> Json:
    name = _message_name(topic)
    return {
        "address": topic.name,
        "description": f"From {', '.join(topic.producers)} to {', '.join(topic.consumers)}",
        "messages": {name: _reference("messages", name)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "replicas": topic.replication_factor,
                "topicConfiguration": {key: _number_or_text(value) for key, value in topic.config.items()},
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operations(name: str, topic: Topic) -> Json:
    parts = {"send": topic.producers, "receive": topic.consumers}
    return {
        f"{action}_{name}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"By {', '.join(part for part in named if part not in OUTSIDE)}",
            "messages": [{"$ref": f"#/channels/{name}/messages/{_message_name(topic)}"}],
        }
        for action, named in parts.items()
        if not OUTSIDE.issuperset(named)
    }


def _event_message(event_type: EventType) -> Json:
    payload = _reference("schemas", EVENT_MODELS[event_type].__name__)
    if narrower := narrowed(event_type):
        payload = {"allOf": [payload, {"properties": narrower}]}
    return {
        "name": event_type.value,
        "summary": SUMMARIES[event_type],
        "headers": {
            "type": "object",
            "allOf": [_reference("schemas", "EventHeaders")],
            "properties": {"ce_type": {"const": event_type.value}},
        },
        "payload": payload,
        "bindings": _message_binding({"type": "string", "format": "uuid", "description": "The media_id"}),
        "examples": [_example(EXAMPLES[event_type])],
    }


def _dead_letter_message(topics: Topics) -> Json:
    return {
        "name": DEAD_LETTER,
        "summary": "A record that fits no contract, byte for byte as it arrived",
        "contentType": "application/octet-stream",
        "headers": _reference("schemas", "DeadLetterHeaders"),
        "payload": {"description": "The value as it arrived: any bytes, or none"},
        "bindings": _message_binding({"description": "The key as it arrived: any bytes, or none"}),
        "examples": [_example(dead_letter_example(topics.upload_completed_image.name))],
    }


def _message_binding(key: Json) -> Json:
    return {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}


def _message_name(topic: Topic) -> str:
    return DEAD_LETTER if topic.event is None else short_name(topic.event)


def _headers(headers: Mapping[str, Json], required: Mapping[str, Json] | tuple[str, ...]) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {name: {"type": "string", **schema} for name, schema in headers.items()},
        "additionalProperties": True,
    }


def _example(record: OutgoingRecord) -> Json:
    return {
        "headers": {name: value.decode() for name, value in record.headers},
        "payload": json.loads(record.value or b"null"),
    }


def _number_or_text(value: str) -> int | str:
    return int(value) if value.removeprefix("-").isdigit() else value


def _reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
