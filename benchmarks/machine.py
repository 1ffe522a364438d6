"""Processes on a core of their own, what they use, and what machine this is."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from devstack import jars

PACKAGES = ("mediagate", "aiokafka", "faust-streaming", "pydantic", "asyncpg", "onnxruntime", "pillow", "av")
GATEWAY = Path(__file__).parent / "gateway"
USABLE = sorted(os.sched_getaffinity(0))
"""Cores, read before this process keeps to one of them."""
SAMPLED_EVERY = 0.05
STOP_DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process and its children had used at a time: CPU seconds so far, bytes of memory now."""

    at: float
    cpu: float
    rss: int


@dataclass
class Usage:
    """Samples of one run, oldest first, by `time.time()`; `check` raises where the process has ended."""

    check: Callable[[], None]
    samples: list[Sample] = field(default_factory=list)

    def cpu_between(self, start: float, end: float) -> float:
        """CPU seconds, interpolated."""
        return self._cpu_at(end) - self._cpu_at(start)

    @property
    def peak_rss(self) -> int:
        """Bytes."""
        return max((sample.rss for sample in self.samples), default=0)

    def rss_until(self, moment: float) -> int:
        """Most bytes so far."""
        return max((sample.rss for sample in self.samples if sample.at <= moment), default=0)

    def _cpu_at(self, moment: float) -> float:
        before = [sample for sample in self.samples if sample.at <= moment]
        after = [sample for sample in self.samples if sample.at > moment]
        if not before or not after:
            return (before or after)[-1 if before else 0].cpu
        first, second = before[-1], after[0]
        share = (moment - first.at) / (second.at - first.at)
        return first.cpu + share * (second.cpu - first.cpu)


def cores() -> tuple[int, int]:
    """One for what is measured, another for all that serves it; the same where there is only one."""
    return USABLE[0], USABLE[-1]


def stay_on(core: int) -> None:
    """Keeps this process, and all that it starts from now on, on a core."""
    os.sched_setaffinity(0, {core})


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command took: seconds of wall time and of CPU, bytes of memory."""

    seconds: float
    cpu: float
    peak_rss: int


def run_to_its_end(
    command: Sequence[str | Path], environment: Mapping[str, str], core: int, log: Path
) -> Ended:
    """A command on a core; raises RuntimeError where it fails."""
    with log.open("ab") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            _pinned(command, core),
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {log}")
    return Ended(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], core: int | Sequence[int], log: Path
) -> Iterator[Usage]:
    """A process on a core or several, ended at the end; its usage grows meanwhile."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            _pinned(command, core),
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

        def check() -> None:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended by itself: {log}")

        usage, ended = Usage(check), threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, usage, ended), daemon=True)
        sampler.start()
        try:
            yield usage
            check()
        finally:
            ended.set()
            sampler.join()
            _end(process)


def _pinned(command: Sequence[str | Path], core: int | Sequence[int]) -> list[str]:
    cores = ",".join(map(str, [core] if isinstance(core, int) else core))
    return [shutil.which("taskset") or "taskset", "-c", cores, *map(str, command)]


def about_this_machine() -> dict[str, str | int]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "kafka": next(jar.version for jar in jars.locked()["kafka"] if jar.artifact.startswith("kafka_")),
        **{name: version(name) for name in PACKAGES},
        **_peers_of_the_gateway(),
    }


def _peers_of_the_gateway() -> dict[str, str]:
    packages = json.loads((GATEWAY / "express" / "package-lock.json").read_text())["packages"]
    locked = re.search(
        r"^fastapi==([\w.]+)", (GATEWAY / "fastapi" / "requirements.lock").read_text(), re.MULTILINE
    )
    return {
        "node": _node(),
        "express": packages["node_modules/express"]["version"],
        "fastapi": locked[1] if locked else "",
    }


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        return ""
    told = subprocess.check_output([node, "--version"], text=True, timeout=STOP_DEADLINE)
    return told.strip().removeprefix("v")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _sample(pid: int, usage: Usage, ended: threading.Event) -> None:
    while not ended.wait(SAMPLED_EVERY):
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            times = [each.cpu_times() for each in family]
            cpu = sum(each.user + each.system for each in times)
            usage.samples.append(Sample(time.time(), cpu, sum(each.memory_info().rss for each in family)))
        except psutil.NoSuchProcess:
            continue


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_DEADLINE)
