"""The services of docker-compose.kafka.yml in containers, on free ports and with secrets of their own."""

import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import urllib3
from testcontainers.compose import DockerCompose

ROOT = Path(__file__).parent.parent
SERVICES = ["kafka", "postgres", "s3"]
S3_DEADLINE = 60.0


@contextmanager
def containers(directory: Path) -> Iterator[Mapping[str, str]]:
    """Runs Kafka, PostgreSQL and S3; yields the environment that leads to them."""
    values = {
        "COMPOSE_PROJECT_NAME": f"mediagate-test-{secrets.token_hex(4)}",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(16),
        "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(24),
        "JWT_SECRET": secrets.token_urlsafe(48),
        **_free_ports("KAFKA_PORT", "POSTGRES_PORT", "S3_PORT"),
    }
    env_file = directory / "compose.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    with DockerCompose(ROOT, "docker-compose.kafka.yml", env_file=str(env_file), services=SERVICES):
        endpoint = f"http://127.0.0.1:{values['S3_PORT']}"
        _wait_until_it_answers(endpoint)
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{values['KAFKA_PORT']}",
            "DATABASE_URL": f"postgresql://mediagate:{values['POSTGRES_PASSWORD']}"
            f"@127.0.0.1:{values['POSTGRES_PORT']}/mediagate",
            "S3_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": values["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": values["AWS_SECRET_ACCESS_KEY"],
            "AWS_REGION": "us-east-1",
        }


def _free_ports(*names: str) -> dict[str, str]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: str(holder.getsockname()[1]) for name, holder in zip(names, holders, strict=True)}
    for holder in holders:
        holder.close()
    return ports


def _wait_until_it_answers(endpoint: str) -> None:
    deadline = time.monotonic() + S3_DEADLINE
    while True:
        try:
            urllib3.request("GET", endpoint, timeout=2.0, retries=False)
        except urllib3.exceptions.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
