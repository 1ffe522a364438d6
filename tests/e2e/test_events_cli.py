"""`mediagate events` by hand: schemas and the AsyncAPI document, without any service."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from mediagate.events import EventType
from tests.e2e.conftest import ROOT, Run


@pytest.fixture
def run(run: Run) -> Run:
    """Runs `mediagate events`."""
    return partial(run, "events")


def test_the_event_types_are_listed(run: Run) -> None:
    ended = run("schema", COLUMNS="80")

    assert ended.returncode == 0
    assert [name for name in EventType if name not in ended.stdout] == []


@pytest.mark.parametrize("name", ["published", "mediagate.published.v1"])
def test_a_schema_is_printed_by_either_name(run: Run, name: str) -> None:
    ended = run("schema", name)

    schema = json.loads(ended.stdout)
    assert schema["title"] == "mediagate.published.v1"
    assert "sha256" in schema["required"]
    assert "duration" not in schema["required"]


def test_an_unknown_name_is_one_line_that_lists_the_names(run: Run) -> None:
    ended = run("schema", "publshed")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "mediagate: no event type 'publshed': there are "
        "upload-completed, approved, rejected, held, override, published, quarantined\n"
    )


def test_the_asyncapi_document_is_that_of_the_topics_file(run: Run, topics_file: Path) -> None:
    shipped, own = run("asyncapi"), run("asyncapi", TOPICS_FILE=str(topics_file))

    assert shipped.stdout == (ROOT / "asyncapi.yaml").read_text()
    addresses = {channel["address"] for channel in yaml.safe_load(own.stdout)["channels"].values()}
    assert addresses == {topic["name"] for topic in yaml.safe_load(topics_file.read_text()).values()}


def test_a_missing_topics_file_is_one_line(run: Run) -> None:
    ended = run("asyncapi", TOPICS_FILE="nowhere.yaml")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "mediagate: topics file nowhere.yaml: No such file or directory\n"
