"""docs/events.md has the models' fields and real examples: what differs is shown as it should be."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mediagate.asyncapi import DEAD_LETTER_HEADERS, HEADERS, REQUIRED_HEADERS
from mediagate.event_examples import EXAMPLES, dead_letter_example
from mediagate.event_schemas import Json, model_schemas
from mediagate.events import EventType, OutgoingRecord
from mediagate.topics import load_topics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text()
SCHEMAS: Mapping[str, Json] = model_schemas("{model}")
MODELS = [name for name, schema in SCHEMAS.items() if schema["type"] == "object"]
PACKAGES = ("mediagate", "streams", "sinks")


def type_of(schema: Json) -> str:
    """A field's type in a word or two."""
    if "anyOf" in schema:
        return " or ".join(type_of(option) for option in schema["anyOf"])
    if "$ref" in schema:
        target = SCHEMAS[schema["$ref"]]
        return " ".join(f"`{value}`" for value in target["enum"]) if "enum" in target else target["title"]
    if schema["type"] == "array":
        return f"array of {type_of(schema['items'])}"
    if schema["type"] == "object":
        return f"object of {type_of(schema['additionalProperties'])}"
    return str(schema.get("format", schema["type"]))


def field_table(model: str) -> Iterator[str]:
    yield "| field | type | always | what it is |"
    yield "| --- | --- | --- | --- |"
    schema = SCHEMAS[model]
    for name, field in schema["properties"].items():
        always = "yes" if name in schema["required"] else "no"
        yield f"| `{name}` | {type_of(field)} | {always} | {field.get('description', '')} |"


def header_table() -> Iterator[str]:
    yield "| header | always | what it is |"
    yield "| --- | --- | --- |"
    for name, header in HEADERS.items():
        always = "yes" if name in REQUIRED_HEADERS else "no"
        yield f"| `{name}` | {always} | {header['description']} |"


def dead_letter_table() -> Iterator[str]:
    yield "| header | what it is |"
    yield "| --- | --- |"
    for name, header in DEAD_LETTER_HEADERS.items():
        yield f"| `{name}` | {header['description']} |"


def example(record: OutgoingRecord) -> Iterator[str]:
    yield "```"
    yield f"key: {(record.key or b'').decode()}"
    for name, value in record.headers:
        yield f"{name}: {value.decode()}"
    value = json.loads(record.value or b"")
    yield "{"
    yield ",\n".join(f"  {json.dumps(name)}: {json.dumps(inner)}" for name, inner in value.items())
    yield "}"
    yield "```"


def generated() -> Iterator[tuple[str, Iterator[str]]]:
    """Every part of the page that is made from the code, by its marker."""
    yield "headers", header_table()
    yield "dead-letter-headers", dead_letter_table()
    for model in MODELS:
        yield f"fields {model}", field_table(model)
    for event_type in EventType:
        yield f"example {event_type.value}", example(EXAMPLES[event_type])
    topics = load_topics(ROOT / "topics.yaml")
    yield "example dead-letter", example(dead_letter_example(topics.upload_completed_image.name))


@pytest.mark.parametrize(("marker", "part"), [pytest.param(*each, id=each[0]) for each in generated()])
def test_the_page_has_what_the_code_says(marker: str, part: Iterator[str]) -> None:
    expected = "\n".join(part)
    _, *found = PAGE.split(f"<!-- {marker} -->\n\n", 1)
    section = found[0].split("\n\n", 1)[0].rstrip() if found else ""

    assert section == expected, f"replace what stands below <!-- {marker} --> by:\n\n{expected}\n"


def test_every_topic_has_a_section() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    named = {name for heading in headings for name in heading.split(", ")}

    assert {topic.name for topic in load_topics(ROOT / "topics.yaml").all()} <= named


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    sources = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    raised = {name for source in sources for name in re.findall(r'DeadLetterError\(\s*"(\w+)"', source)}

    _, table = PAGE.split("| reason | what is wrong |\n", 1)
    assert set(re.findall(r"^\| `(\w+)` \| \S", table.split("\n\n", 1)[0], re.MULTILINE)) == raised
