"""Runs the scanner, and the model alone, on all cores and the same pictures; and the scanner on videos."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from benchmarks.engine.media import make_pictures, make_videos
from benchmarks.engine.runs import wait_for
from benchmarks.machine import running
from benchmarks.results import Measurement

RUN_DEADLINE = 900.0
MODEL = "the model alone"
MIME_TYPES = {".jpeg": "image/jpeg", ".png": "image/png", ".mp4": "video/mp4"}


@dataclass(frozen=True, slots=True)
class Job:
    """A process to measure: `count` items, each of which counts for `worth`."""

    name: str
    module: str
    environment: Mapping[str, str]
    count: int
    worth: int = 1


class EngineBenchmark:
    """All that is to be measured; times and memory of the processes, not of what serves the objects."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cores = sorted(os.sched_getaffinity(0))

    def of_pictures(self, address: str, count: int) -> list[Job]:
        """The scanner on each kind of picture, and the model alone on all."""
        kinds = make_pictures(self._directory)
        files = [str(file) for kind in kinds.values() for file in kind]
        return [
            *(self._scanner(f"mediagate, {name}", address, kind, count) for name, kind in kinds.items()),
            Job(MODEL, "bare_model", {"FILES": json.dumps(files)}, count),
        ]

    def of_videos(self, address: str, count: int, seconds: int) -> list[Job]:
        """The scanner on each kind of video."""
        kinds = make_videos(self._directory, seconds)
        return [
            self._scanner(f"mediagate, {name}", address, [file], count, seconds)
            for name, file in kinds.items()
        ]

    async def run(self, job: Job) -> Measurement:
        """Items, or seconds of video, a second and core."""
        told = self._directory / "run.json"
        told.unlink(missing_ok=True)
        environment = {
            **job.environment,
            "RUN": str(told),
            "COUNT": str(job.count),
            "SCANNER_PROCESSES": str(len(self._cores)),
            "DATABASE_URL": "postgresql://unused/unused",
            "KAFKA_BOOTSTRAP_SERVERS": "unused:9092",
        }
        command = [sys.executable, "-m", f"benchmarks.engine.{job.module}"]
        with running(command, environment, self._cores, self._directory / "log") as usage:
            run = await asyncio.to_thread(wait_for, told, RUN_DEADLINE)
        done = job.count * job.worth
        cpu = usage.cpu_between(run.start, run.end) / done
        rate = done / (run.end - run.start) / len(self._cores)
        return Measurement(job.name, rate, cpu * 10_000, usage.peak_rss / 2**20)

    def _scanner(self, name: str, address: str, files: Sequence[Path], count: int, worth: int = 1) -> Job:
        objects = [(f"{address}/{quote(file.name)}", MIME_TYPES[file.suffix]) for file in files]
        return Job(name, "mediagate_scanner", {"OBJECTS": json.dumps(objects)}, count, worth)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """The folder as an object store, with ranges, ETags and If-Match; its address."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
