"""deploy/prometheus: rules that Prometheus can load, on exported metrics, that say what to do."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import promql_parser
import pytest
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tests.unit.deploy.promql import exported, parse, uses

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
PROCESSES = {"gateway": 3000, "streams": 3001, "sinks": 3002}


def _expression(text: str) -> str:
    parse(text)
    return text


def _duration(text: str) -> str:
    assert promql_parser.parse_duration(text) >= timedelta()
    return text


Expression = Annotated[str, AfterValidator(_expression)]
Duration = Annotated[str, AfterValidator(_duration)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Rule(Strict):
    """As Prometheus' documentation of recording and alerting rules has it."""

    record: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")] | None = None
    alert: str | None = None
    expr: Expression
    for_: Annotated[Duration | None, Field(alias="for")] = None
    keep_firing_for: Duration | None = None
    labels: dict[LabelName, str] = {}
    annotations: dict[LabelName, str] = {}

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Rule":
        assert (self.record is None) != (self.alert is None)
        assert self.record is None or not (self.for_ or self.keep_firing_for or self.annotations)
        return self


class Group(Strict):
    name: str
    interval: Duration | None = None
    query_offset: Duration | None = None
    limit: int = 0
    labels: dict[LabelName, str] = {}
    rules: list[Rule]


class RuleFile(Strict):
    groups: list[Group]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    configuration = load(FOLDER / "prometheus.yml")
    files = [path for pattern in configuration["rule_files"] for path in FOLDER.glob(pattern)]
    assert files
    return [group for path in files for group in RuleFile.model_validate(load(path)).groups]


@pytest.fixture(scope="module")
def rules(groups: list[Group]) -> list[Rule]:
    return [rule for group in groups for rule in group.rules]


@pytest.fixture(scope="module")
def alerts(rules: list[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.alert]


def test_no_name_is_given_twice(groups: list[Group], rules: list[Rule]) -> None:
    for names in ([group.name for group in groups], [rule.alert or rule.record for rule in rules]):
        assert len(names) == len(set(names))


def test_every_metric_is_exported_and_has_the_labels(rules: list[Rule]) -> None:
    known = exported() | {rule.record: frozenset({"consumergroup", "topic"}) for rule in rules if rule.record}
    for rule in rules:
        for use in uses(rule.expr):
            assert use.metric in known, f"{rule.alert or rule.record}: nobody exports {use.metric}"
            assert use.labels <= known[use.metric], f"{rule.alert or rule.record}: {use}"


def test_recording_rules_are_used(rules: list[Rule]) -> None:
    used = {use.metric for rule in rules for use in uses(rule.expr)}
    assert {rule.record for rule in rules if rule.record} <= used


def test_every_alert_says_what_is_the_matter_and_where_it_stands_what_to_do(alerts: list[Rule]) -> None:
    for alert in alerts:
        assert alert.labels["severity"] in {"critical", "warning"}
        assert set(alert.annotations) == {"summary", "description"}
        (link,) = re.findall(r"(docs/[a-z-]+\.md)#([a-z-]+)", alert.annotations["description"])
        headings = re.findall(r"^#+ (.+)$", (ROOT / link[0]).read_text(), re.MULTILINE)
        assert link[1] in {heading.lower().replace(" ", "-") for heading in headings}


def test_the_manual_has_every_alert(alerts: list[Rule]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    _, table = page.split("<!-- alerts -->", 1)
    rows = re.findall(r"^\| `(Mediagate\w+)` \| \S.* \| \S.* \|$", table, re.MULTILINE)
    assert rows == [alert.alert for alert in alerts]


def test_promtool_has_a_test_of_every_alert(alerts: list[Rule]) -> None:
    tests = load(FOLDER / "alerts_test.yml")["tests"]
    fired = {
        case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"] != []
    }
    assert fired == {alert.alert for alert in alerts}


def test_every_process_of_the_compose_file_is_scraped() -> None:
    services = load(ROOT / "docker-compose.kafka.yml")["services"]
    configuration = load(FOLDER / "prometheus.yml")
    scraped = {
        job["job_name"]: (job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"])
        for job in configuration["scrape_configs"]
    }
    assert scraped == {f"mediagate-{name}": ([name], port) for name, port in PROCESSES.items()}
    for name, port in PROCESSES.items():
        assert f":{port}/" in str(services[name]["healthcheck"]["test"])
