"""deploy/grafana: a dashboard that Grafana can read, on metrics that are exported."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.unit.deploy.promql import exported, uses
from tests.unit.deploy.test_alert_rules import FOLDER as PROMETHEUS

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "grafana"
FILE = FOLDER / "dashboards" / "mediagate.json"
ROWS = ["Uploads", "Events", "Windows", "Scans", "Decisions", "Effects", "Trouble"]


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def panels(dashboard: Any) -> list[Any]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_grafanas_own_model_knows_every_field_of_it(dashboard: Any) -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(json.loads(FILE.read_text()))))
    assert list(_lost(dashboard, read, "dashboard")) == []


def _lost(given: Any, read: Any, path: str) -> Iterator[str]:
    """What the model has left out of what it was given."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            yield from _lost(value, read.get(name), f"{path}.{name}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, pair in enumerate(zip(given, read, strict=True)):
            yield from _lost(*pair, f"{path}[{number}]")
    elif given != read and (given or read):
        yield f"{path}: {given!r} is read as {read!r}"


def test_its_rows_follow_the_data(dashboard: Any) -> None:
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == ROWS


def test_panels_have_ids_and_titles_of_their_own(dashboard: Any) -> None:
    for name in ("id", "title"):
        counts = Counter(panel[name] for panel in dashboard["panels"])
        assert [value for value, count in counts.items() if count > 1] == []


def test_panels_do_not_overlap(dashboard: Any) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = Counter(
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) < 24


def test_every_panel_asks_the_chosen_data_source_and_has_a_unit(dashboard: Any, panels: list[Any]) -> None:
    (variable,) = dashboard["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    known = {unit for unit in vars(units).values() if isinstance(unit, str)}
    for panel in panels:
        assert [source["datasource"] for source in (panel, *panel["targets"])] == [chosen] * (
            1 + len(panel["targets"])
        )
        assert panel["fieldConfig"]["defaults"]["unit"] in known, panel["title"]


def test_every_metric_is_exported_and_has_the_labels(panels: list[Any]) -> None:
    groups = yaml.safe_load((PROMETHEUS / "rules" / "mediagate.yml").read_text())["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    known = exported() | dict.fromkeys(recorded, frozenset({"consumergroup", "topic"}))
    for panel in panels:
        for target in panel["targets"]:
            for use in uses(target["expr"]):
                assert use.metric in known, f"{panel['title']}: nobody exports {use.metric}"
                assert use.labels <= known[use.metric], f"{panel['title']}: {use}"


def test_it_shows_every_metric_of_mediagate(panels: list[Any]) -> None:
    shown = {use.metric for panel in panels for target in panel["targets"] for use in uses(target["expr"])}
    names = {name for name in exported() if name.startswith("mediagate_")}
    histograms = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    families = histograms | {
        name for name in names if not any(name.startswith(f"{family}_") for family in histograms)
    }
    assert {family for family in families if not any(name.startswith(family) for name in shown)} == set()


def test_its_source_and_its_place_are_provisioned(dashboard: Any) -> None:
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text())
    providers = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "mediagate.yml").read_text())
    (source,), (provider,) = sources["datasources"], providers["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text())["services"]["grafana"]
    assert source["uid"] == dashboard["templating"]["list"][0]["current"]["value"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
