"""docker-compose.kafka.yml is valid, keeps to the loopback interface, and holds no secret."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

FILE = Path(__file__).parents[2] / "docker-compose.kafka.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return dict(loaded["services"])


def interpolated(text: str) -> str:
    """The file as Compose reads it: variables replaced by their defaults, required ones by a word."""
    return re.sub(
        r"\$\{[A-Z0-9_]+:([-?])([^}]*)\}", lambda match: match[2] if match[1] == "-" else "given", text
    )


def test_is_a_valid_compose_file(services: dict[str, Any]) -> None:
    merged = yaml.safe_dump(yaml.safe_load(interpolated(FILE.read_text())))
    assert set(PyCompose.from_yaml(merged).service_names()) == set(services)
    processes = {"gateway", "streams", "sinks"}
    assert {"kafka", "postgres", "s3", *processes, "prometheus", "grafana"} <= set(services)


def test_publishes_ports_on_the_loopback_interface_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_takes_every_secret_from_the_environment(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search("SECRET|PASSWORD|ACCESS_KEY|DATABASE_URL", name):
                assert re.search(r"\$\{[A-Z_]+:\?", value), name


def test_every_process_has_a_health_check_and_waits_for_the_set_up(services: dict[str, Any]) -> None:
    for name in ("gateway", "streams", "sinks"):
        assert services[name]["healthcheck"]["test"]
        assert services[name]["depends_on"]["setup"]["condition"] == "service_completed_successfully"


def test_what_is_mounted_from_the_checkout_is_there_and_read_only(services: dict[str, Any]) -> None:
    volumes = [volume for service in services.values() for volume in service.get("volumes", [])]
    mounts = [volume.split(":") for volume in volumes if volume.startswith(".")]
    assert mounts
    for source, *_, mode in mounts:
        assert (FILE.parent / source).exists(), source
        assert mode == "ro", source


def test_images_are_pinned_to_a_version(services: dict[str, Any]) -> None:
    for name in ("prometheus", "grafana"):
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", services[name]["image"])
        assert services[name]["healthcheck"]["test"]


def test_grafana_shows_everyone_and_has_no_account(services: dict[str, Any]) -> None:
    environment = services["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
