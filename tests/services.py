"""The services that integration tests run on: embedded, in containers, or somebody else's."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from devstack.stack import Stack


@dataclass(frozen=True)
class Services:
    """Where Kafka, PostgreSQL and S3 answer."""

    kafka_bootstrap_servers: str
    database_url: str
    s3_endpoint_url: str
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_region: str

    def database_url_of(self, name: str) -> str:
        """The URL of another database on the same server."""
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))

    def environment(self) -> dict[str, str]:
        """The same, as the environment variables that the processes read."""
        return {name.upper(): value for name, value in vars(self).items()}


@contextmanager
def running_services(kind: str | None, directory: Path) -> Iterator[Services]:
    """Starts the services of that kind and ends them; by default containers where an engine answers."""
    match kind or ("containers" if _docker_answers() else "embedded"):
        case "embedded":
            with Stack(directory) as stack:
                yield services_of(stack.endpoints().environment())
        case "external":
            yield services_of(os.environ)
        case "containers":
            from tests.containers import containers

            with containers(directory) as environment:
                yield services_of(environment)
        case other:
            raise ValueError(f"MEDIAGATE_TEST_SERVICES: {other!r} is not embedded, containers or external")


def services_of(environment: Mapping[str, str]) -> Services:
    """The services that the environment names."""
    return Services(**{name: environment[name.upper()] for name in Services.__dataclass_fields__})


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
