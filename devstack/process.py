"""Child processes that die with this one, and the end of those that an earlier one left."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_LAUNCHER = Path(__file__).with_name("launcher.py")
_KILL_TIMEOUT = 10.0
_POLL_INTERVAL = 0.02
# psutil computes the start time from the boot time, which moves a little when the clock is set.
_START_TIME_TOLERANCE = 2.0


@dataclass(frozen=True)
class User:
    """The user that a service runs as, where that is not ours."""

    uid: int
    gid: int


@dataclass(frozen=True)
class ProcessRecord:
    """A process by id and start time (seconds since the epoch): a reused id is not mistaken for it."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord":
        """Record a process that runs now."""
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """Return the recorded process, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TIME_TOLERANCE
            return process if same and runs(process) else None
        except psutil.NoSuchProcess:
            return None


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    directory: Path,
    environment: Mapping[str, str],
    death_signal: signal.Signals,
    user: User | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that gets `death_signal` when this process ends; its output is appended to `log`."""
    as_user: list[str] = [f"--uid={user.uid}", f"--gid={user.gid}"] if user else []
    launch: list[str | Path] = [sys.executable, "-I", "-S", _LAUNCHER, f"--parent={os.getpid()}"]
    launch += [f"--death-signal={int(death_signal)}", *as_user, "--", *command]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                launch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,  # so that Ctrl-C reaches us alone and the services stop in order
            )

    return _Spawner.shared().run(start)


class _Spawner:
    """One thread that outlives all callers: the kernel ties a death signal to the thread that forked."""

    def __init__(self) -> None:
        self._jobs: queue.Queue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._jobs = queue.Queue(maxsize=16)
        threading.Thread(target=self._work, name="devstack-spawner", daemon=True).start()

    @staticmethod
    @cache
    def shared() -> "_Spawner":
        return _Spawner()

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        result: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, result), timeout=_KILL_TIMEOUT)
        return result.result(timeout=_KILL_TIMEOUT)

    def _work(self) -> None:
        while True:
            job, result = self._jobs.get()
            try:
                result.set_result(job())
            except Exception as error:  # noqa: BLE001 - handed to the caller
                result.set_exception(error)


def end(process: psutil.Process, how: signal.Signals, timeout: float) -> None:
    """Send a signal, wait up to `timeout` seconds, then kill; the children of the process end with it."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    _signal(family if how is signal.SIGKILL else [process], how)
    if alive := _wait(family, timeout):
        _signal(alive, signal.SIGKILL)
        _wait(alive, _KILL_TIMEOUT)


def runs(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has ended."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Sequence[psutil.Process], how: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(how)


def _wait(processes: Sequence[psutil.Process], timeout: float) -> list[psutil.Process]:
    deadline = time.monotonic() + timeout
    while (alive := [process for process in processes if runs(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
    return alive
