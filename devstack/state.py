"""What a stack keeps in its directory: the lock, the ports, the processes and the generated credentials."""

import base64
import fcntl
import json
import os
import secrets
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.errors import DevstackError
from devstack.process import ProcessRecord


def write_private(path: Path, text: str) -> None:
    """Replace a file at once; only its owner can read it."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the directory for one stack; raise DevstackError if another holds it."""
    with (directory / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise DevstackError(f"a stack already runs in {directory} (process {holder})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class State:
    """Ports and processes by service name, kept in `state.json`; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ports: dict[str, int] = {}
        self._processes: dict[str, ProcessRecord] = {}

    def load(self) -> None:
        """Read what an earlier stack left, if anything."""
        if not self._path.exists():
            return
        try:
            stored = json.loads(self._path.read_text())
            self._ports = {name: int(port) for name, port in stored["ports"].items()}
            self._processes = {name: ProcessRecord(**record) for name, record in stored["processes"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DevstackError(
                f"{self._path} is damaged ({error}): remove it to choose new ports"
            ) from error

    def port(self, name: str) -> int | None:
        """Return the port that a service used last."""
        return self._ports.get(name)

    def keep_port(self, name: str, port: int) -> None:
        """Remember the port of a service for the next start."""
        with self._lock:
            self._ports[name] = port
            self._save()

    def processes(self) -> dict[str, ProcessRecord]:
        """Return the processes that were started and not yet seen to end."""
        return dict(self._processes)

    def keep_process(self, name: str, record: ProcessRecord) -> None:
        """Remember a started process, for the clean-up after a crash."""
        with self._lock:
            self._processes[name] = record
            self._save()

    def forget_process(self, name: str) -> None:
        """Forget a process that has ended."""
        with self._lock:
            if self._processes.pop(name, None):
                self._save()

    def _save(self) -> None:
        processes = {name: asdict(record) for name, record in self._processes.items()}
        write_private(self._path, json.dumps({"ports": self._ports, "processes": processes}, indent=2))


@dataclass(frozen=True, repr=False)
class Credentials:
    """Generated once a directory, kept in `credentials.json` for the owner alone."""

    kafka_cluster_id: str
    database_password: str
    s3_access_key_id: str
    s3_secret_access_key: str

    @classmethod
    def load_or_create(cls, path: Path) -> "Credentials":
        """Read the credentials, or generate and store them."""
        if not path.exists():
            write_private(path, json.dumps(asdict(cls._generate()), indent=2))
        try:
            return cls(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise DevstackError(f"{path} is damaged: remove {path.parent} to start afresh") from error

    @classmethod
    def _generate(cls) -> "Credentials":
        return cls(
            kafka_cluster_id=_kafka_id(),
            database_password=secrets.token_hex(24),
            s3_access_key_id=secrets.token_hex(10).upper(),
            s3_secret_access_key=secrets.token_hex(20),
        )


def _kafka_id() -> str:
    """Return a UUID as Kafka writes it: 22 characters of URL-safe Base64, never with a dash in front."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
