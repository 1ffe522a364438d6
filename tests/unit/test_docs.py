"""The README's tables are the code's: what differs is shown as it should be."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic_core import PydanticUndefined

from mediagate import metrics
from mediagate.scanners.reasons import Reason
from mediagate.settings import GatewaySettings, Settings, SinksSettings, StreamsSettings
from mediagate.topics import load_topics

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def shown(value: Any) -> str:
    if value is PydanticUndefined or value is None:
        return ""
    if isinstance(value, timedelta):
        value = value.total_seconds()
        value = int(value) if value == int(value) else value
    if isinstance(value, frozenset):
        value = json.dumps(sorted(value))
    if isinstance(value, dict | tuple):
        value = json.dumps(value)
    return f"`{value}`"


def settings_table() -> Iterator[str]:
    yield "| setting | default | what it is | of |"
    yield "| --- | --- | --- | --- |"
    models: dict[str, type[Settings]] = {
        "gateway": GatewaySettings,
        "streams": StreamsSettings,
        "sinks": SinksSettings,
    }
    fields = {name: field for model in models.values() for name, field in model.model_fields.items()}
    for name, field in fields.items():
        owners = ", ".join(process for process, model in models.items() if name in model.model_fields)
        process = "all" if name in Settings.model_fields else owners
        yield f"| `{name.upper()}` | {shown(field.get_default())} | {field.description} | {process} |"


def topics_table() -> Iterator[str]:
    yield "| topic | event | from | to |"
    yield "| --- | --- | --- | --- |"
    for topic in load_topics(ROOT / "topics.yaml").all():
        event = f"`{topic.event.value}`" if topic.event else "any record, as it arrived"
        yield f"| `{topic.name}` | {event} | {', '.join(topic.producers)} | {', '.join(topic.consumers)} |"


@pytest.mark.parametrize(("marker", "table"), [("settings", settings_table), ("topics", topics_table)])
def test_the_readme_has_the_current_table(marker: str, table: Any) -> None:
    expected = "\n".join(table())
    section = README.split(f"<!-- {marker} -->\n\n", 1)[1].split("\n\n", 1)[0]
    assert section == expected, f"replace the table below <!-- {marker} --> by:\n\n{expected}\n"


def metrics_table() -> Iterator[str]:
    yield "| metric | type | labels | what it is |"
    yield "| --- | --- | --- | --- |"
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = " ".join(f"`{label}`" for label in metric._labelnames)
            yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


def test_the_manual_has_every_metric() -> None:
    expected = "\n".join(metrics_table())
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.split("<!-- metrics -->\n\n", 1)[1].split("\n\n", 1)[0]
    assert table == expected, f"replace the table below <!-- metrics --> by:\n\n{expected}\n"


def test_every_reason_is_explained() -> None:
    page = (ROOT / "docs" / "scanners.md").read_text()
    _, table = page.split("<!-- reasons -->", 1)
    assert re.findall(r"^\| `([a-z_]+)` \| \S", table, re.MULTILINE) == list(Reason)


def test_every_setting_says_what_it_is() -> None:
    for model in (Settings, GatewaySettings, StreamsSettings, SinksSettings):
        assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_every_command_of_the_makefile_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = [line for line in makefile.splitlines() if line.startswith(".PHONY:")]
    documented = {line.split(":")[0] for line in makefile.splitlines() if ": " in line and " ## " in line}
    assert set(phony.split()[1:]) - {"jars"} == documented


def test_links_in_the_documentation_lead_somewhere() -> None:

    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
