"""The three services as one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack import jars
from devstack.endpoints import Endpoints
from devstack.errors import DevstackError
from devstack.kafka import Kafka
from devstack.postgres import Postgres
from devstack.s3proxy import REGION, S3Proxy
from devstack.service import Service
from devstack.state import Credentials, State, exclusive

DEFAULT_DIRECTORY = Path(__file__).parent.parent / ".devstack"


class Stack:
    """Kafka, PostgreSQL and S3Proxy on 127.0.0.1, their data under one directory; it survives a restart."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        self.directory = directory.absolute()
        self._state = State(self.directory / "state.json")
        self.kafka = Kafka(self.directory, self._state)
        self.postgres = Postgres(self.directory, self._state)
        self.s3 = S3Proxy(self.directory, self._state)
        self._services: tuple[Service, ...] = (self.kafka, self.s3, self.postgres)
        self._held = ExitStack()

    def start(self, progress: Callable[[str], None] = lambda _: None) -> Endpoints:
        """Start all, wait until they are ready, and return where they are.

        Raises DevstackError, with nothing left running, if one cannot start or the directory is in use.
        """
        self._make_directory()
        with ExitStack() as undo:
            undo.enter_context(exclusive(self.directory))
            undo.callback(self._stop_services)
            self._clean_up()
            jars.fetch(progress)
            self._configure()
            self._start_services(progress)
            self._held = undo.pop_all()
        return self.endpoints()

    def stop(self) -> None:
        """Stop the services in order and release the directory; does nothing when stopped."""
        self._held.close()

    def start_again(self) -> list[str]:
        """Start each service that has ended by itself; return their names.

        Raises DevstackError if one cannot start.
        """
        ended = [service for service in self._services if service.pid is None]
        for service in ended:
            service.start()
        return [service.name for service in ended]

    def endpoints(self) -> Endpoints:
        """Return where the started services are."""
        return Endpoints(
            kafka_bootstrap_servers=self.kafka.bootstrap_servers,
            database_url=self.postgres.url,
            s3_endpoint_url=self.s3.endpoint_url,
            s3_access_key_id=self.s3.access_key_id,
            s3_secret_access_key=self.s3.secret_access_key,
            s3_region=REGION,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DevstackError(f"{self.directory} cannot be made: {error.strerror}") from error

    def _clean_up(self) -> None:
        self._state.load()
        for service in self._services:
            service.end_leftover()

    def _configure(self) -> None:
        credentials = Credentials.load_or_create(self.directory / "credentials.json")
        self.kafka.cluster_id = credentials.kafka_cluster_id
        self.postgres.password = credentials.database_password
        self.s3.access_key_id = credentials.s3_access_key_id
        self.s3.secret_access_key = credentials.s3_secret_access_key
        taken: set[int] = set()
        for service in self._services:
            service.choose_ports(taken)

    def _start_services(self, progress: Callable[[str], None]) -> None:
        with ThreadPoolExecutor(len(self._services)) as pool:
            starts = {pool.submit(service.start): service for service in self._services}
            for start in as_completed(starts):
                start.result()
                progress(f"{starts[start].name} is ready on port {starts[start].port}")

    def _stop_services(self) -> None:
        with ExitStack() as stops:  # each is stopped even if another's stop fails
            for service in reversed(self._services):
                stops.callback(service.stop)
