"""What is published about each event type: its short name, what it says, its JSON Schema."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from mediagate.errors import ConfigurationError
from mediagate.events import DECISION_TYPES, EVENT_MODELS, EventType

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SUMMARIES: Mapping[EventType, str] = {
    EventType.UPLOAD_COMPLETED: "An upload is complete and waits for its scan",
    EventType.APPROVED: "An upload may be published, which is not done yet",
    EventType.REJECTED: "An upload must not be published",
    EventType.HELD: "An upload waits for a human, or nobody could judge it",
    EventType.OVERRIDE: "A human decides on an upload, and outranks the pipeline",
    EventType.PUBLISHED: "An approved upload stands in its permanent bucket",
    EventType.QUARANTINED: "A rejected upload stands in the quarantine bucket",
}


class _Untitled(GenerateJsonSchema):
    """Leaves out a field's title, which only repeats its name."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | Any) -> bool:
        return False


def short_name(event_type: EventType) -> str:
    """`upload-completed` for `mediagate.upload-completed.v1`."""
    return event_type.removeprefix("mediagate.").rpartition(".")[0]


def event_type_of(name: str) -> EventType:
    """The event type of that `ce_type` or short name; raises ConfigurationError, which lists the names."""
    for event_type in EventType:
        if name in {event_type.value, short_name(event_type)}:
            return event_type
    raise ConfigurationError(f"no event type {name!r}: there are {', '.join(map(short_name, EventType))}")


def schema_of(event_type: EventType) -> Json:
    """The JSON Schema of an event's value: what every version of it has required."""
    schema = EVENT_MODELS[event_type].model_json_schema(schema_generator=_Untitled)
    for name, narrower in narrowed(event_type).items():
        schema["properties"][name] |= narrower
    return {"$schema": DIALECT, **schema, "title": event_type.value}


def narrowed(event_type: EventType) -> Json:
    """Properties that this type of event allows less in than its model does."""
    outcomes = [outcome.value for outcome, kind in DECISION_TYPES.items() if kind is event_type]
    return {"outcome": {"enum": outcomes}} if outcomes else {}


def model_schemas(ref_template: str) -> Json:
    """The JSON Schema of every model, by its name."""
    models = dict.fromkeys(EVENT_MODELS.values())
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template=ref_template, schema_generator=_Untitled
    )
    return dict(schemas["$defs"])
