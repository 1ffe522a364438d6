"""The life of one embedded service: start, wait until ready, stop, kill."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil

from devstack import ports
from devstack.errors import DevstackError
from devstack.process import ProcessRecord, User, end, spawn
from devstack.state import State

_POLL_INTERVAL = 0.05
_LOG_TAIL_BYTES = 64 * 1024


class Service(ABC):
    """A server process on loopback ports, with its files in a directory of its own."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    ready_timeout: ClassVar[float] = 60.0
    stop_timeout: ClassVar[float] = 20.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, directory: Path, state: State) -> None:
        self.directory = directory / self.name
        self.log = directory / f"{self.name}.log"
        self._state = state
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def prepare(self) -> None:
        """Write what the command needs: configuration, and on the first start the storage."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the command line, the program as an absolute path."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the service answers a request now; must return within seconds."""

    @property
    def user(self) -> User | None:
        """The user to run as, or None for ours."""
        return None

    @property
    def working_directory(self) -> Path:
        """Where the service runs."""
        return self.directory

    @property
    def port(self) -> int:
        """The port that clients use; known once the service was started."""
        return self._port(self.port_names[0])

    @property
    def pid(self) -> int | None:
        """The id of the running process, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def choose_ports(self, taken: set[int]) -> None:
        """Settle on ports and add them to `taken`: those of the last start where they are free."""
        for name in self.port_names:
            self._ports[name] = ports.choose(self._state.port(name), taken)
            taken.add(self._ports[name])
            self._state.keep_port(name, self._ports[name])

    def start(self) -> None:
        """Start and wait until ready; raise DevstackError if that fails. Does nothing while it runs."""
        if self.pid is not None:
            return
        if not self._ports:
            raise DevstackError(f"{self.name}: start the stack first, it chooses the ports")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._refuse_port_clash()
        self.prepare()
        self._spawn()
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop in an orderly way; kill if that takes longer than `stop_timeout` seconds."""
        self._end(self.stop_signal, self.stop_timeout)

    def kill(self) -> None:
        """End at once, as a crash would."""
        self._end(signal.SIGKILL, self.stop_timeout)

    def end_leftover(self) -> None:
        """End the process that an earlier stack started here and could not stop."""
        record = self._state.processes().get(self.name)
        if record and (leftover := record.find()):
            end(leftover, self.stop_signal, self.stop_timeout)
        self._state.forget_process(self.name)

    def environment(self) -> dict[str, str]:
        """Return the environment of the service: little, so that the caller's does not leak or interfere."""
        return {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ") if name in os.environ}

    def _port(self, name: str) -> int:
        if name not in self._ports:
            raise DevstackError(f"{self.name} has no port before its first start")
        return self._ports[name]

    def _refuse_port_clash(self) -> None:
        for port in self._ports.values():
            if not ports.is_free(port):
                raise DevstackError(f"{self.name}: port {port} on {ports.HOST} is used by another program")

    def _spawn(self) -> None:
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = spawn(
            self.command(),
            log=self.log,
            directory=self.working_directory,
            environment=self.environment(),
            death_signal=self.death_signal,
            user=self.user,
        )
        self._state.keep_process(self.name, ProcessRecord.of(self._process.pid))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_timeout
        while not self.is_ready():
            if self.pid is None:
                raise DevstackError(f"{self.name} ended while starting; {self.log}: {self._last_log_line()}")
            if time.monotonic() > deadline:
                waited = f"{self.ready_timeout:.0f} s"
                raise DevstackError(
                    f"{self.name} is not ready after {waited}; {self.log}: {self._last_log_line()}"
                )
            time.sleep(_POLL_INTERVAL)

    def _last_log_line(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        # Continuation lines are stack traces.
        messages = [
            line for line in lines if line.strip() and not line[0].isspace() and "Caused by" not in line
        ]
        errors = [line for line in messages if any(word in line for word in ("ERROR", "FATAL", "Exception"))]
        return ((errors or messages or ["(empty)"])[-1]).strip()

    def _end(self, how: signal.Signals, timeout: float) -> None:
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self._process.pid)
            leader.resume()  # a stopped process would not act on a signal to end
            end(leader, how, timeout)
        self._process.wait(timeout=timeout)
        self._process = None
        self._state.forget_process(self.name)
