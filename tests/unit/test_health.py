from collections.abc import Iterator

import pytest
import urllib3

from mediagate import metrics
from mediagate.errors import ConfigurationError
from mediagate.health import HealthServer


class Dependencies:
    missing: str | None = None


@pytest.fixture
def dependencies() -> Dependencies:
    return Dependencies()


@pytest.fixture
def server(dependencies: Dependencies) -> Iterator[HealthServer]:
    running = HealthServer("127.0.0.1", 0, lambda: dependencies.missing)
    running.start()
    yield running
    running.stop()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    with urllib3.PoolManager() as client:
        response = client.request("GET", f"http://127.0.0.1:{server.port}{path}", timeout=5.0)
        return response.status, response.data.decode()


def test_it_lives_whatever_is_missing(server: HealthServer, dependencies: Dependencies) -> None:
    dependencies.missing = "Kafka: joining"
    assert get(server, "/livez") == (200, "ok\n")


def test_it_says_what_it_is_not_ready_for(server: HealthServer, dependencies: Dependencies) -> None:
    assert get(server, "/readyz") == (200, "ok\n")
    dependencies.missing = "Kafka: joining"
    assert get(server, "/readyz") == (503, "Kafka: joining\n")


def test_it_exports_metrics_and_nothing_else(server: HealthServer) -> None:
    metrics.WINDOWS.labels("test", "count").inc()
    status, text = get(server, "/metrics")
    assert status == 200
    assert 'mediagate_windows_total{media_type="test",trigger="count"} 1.0' in text
    assert get(server, "/elsewhere")[0] == 404


def test_a_taken_port_is_one_line(server: HealthServer) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{server.port}"):
        HealthServer("127.0.0.1", server.port, lambda: None)
