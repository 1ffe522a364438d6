"""The commands by hand: what they do, and the one line that they say when they cannot."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.conftest import Run
from tests.services import Services

UNREACHABLE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:secret-password@127.0.0.1:1/nothing",
    "S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret-key",
    "JWT_SECRET": "s" * 32,
}
PROCESSES = ("gateway", "streams", "sinks")


@pytest.fixture
def environment(services: Services, empty_database_url: str, topics_file: Path) -> Iterator[dict[str, str]]:
    """Real services without schema, topics and buckets."""
    prefix = uuid4().hex[:8]
    yield services.environment() | {
        "DATABASE_URL": empty_database_url,
        "TOPICS_FILE": str(topics_file),
        "TEMP_BUCKET": f"{prefix}-temp",
        "JWT_SECRET": "s" * 32,
    }


@pytest.mark.parametrize(
    "arguments", [(name,) for name in (*PROCESSES, "migrate", "up")] + [("topics", "plan")]
)
def test_a_missing_setting_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ": Field required" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [(name,) for name in (*PROCESSES, "migrate")] + [("topics", "apply"), ("buckets", "create")]
)
def test_a_service_that_does_not_answer_is_one_line_without_secrets(
    run: Run, arguments: tuple[str, ...]
) -> None:
    ended = run(*arguments, **UNREACHABLE)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("mediagate")
    assert "Kafka" in line or "PostgreSQL" in line or "S3" in line
    assert "secret" not in ended.stdout + ended.stderr


def test_what_a_process_needs_is_named_one_by_one(run: Run, environment: dict[str, str]) -> None:
    def refusal(process: str) -> str:
        ended = run(process, **environment)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        return line

    assert "Kafka has no topic" in refusal("streams")
    assert "create" in run("topics", "plan", **environment).stdout
    assert run("topics", "apply", **environment).returncode == 0
    assert run("topics", "plan", **environment).stdout.strip() == "Every topic is as declared."

    assert "run `mediagate migrate`" in refusal("sinks")
    assert run("migrate", **environment).returncode == 0
    assert run("migrate", **environment).returncode == 0

    assert "S3 has no bucket" in refusal("gateway")
    assert f"Created {environment['TEMP_BUCKET']}." in run("buckets", "create", **environment).stdout
    assert run("buckets", "create", **environment).stdout.strip() == "Every bucket is there."


def test_help_says_what_every_command_does(run: Run) -> None:
    ended = run("--help")
    assert ended.returncode == 0
    for command in (*PROCESSES, "migrate", "up", "topics", "buckets"):
        assert command in ended.stdout
