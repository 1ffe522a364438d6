"""`python -m streams` or `python -m sinks` as a child."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import stamina
import urllib3

from mediagate.settings import Settings
from tests.services import Services

ROOT = Path(__file__).parents[1]
DEADLINE = 60.0


class Worker:
    """Runs a worker's process with the test's settings; `module` is `streams` or `sinks`."""

    def __init__(self, module: str, settings: Settings, services: Services, directory: Path) -> None:
        self._module = module
        self._directory = directory
        self._environment = environment_of(settings, services)

    @asynccontextmanager
    async def running(self, **environment: str) -> AsyncIterator["Running"]:
        """The process, killed at the end if it still runs."""
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            cwd=self._directory,
            env=self._environment | {f"{self._module.upper()}_PORT": str(port)} | environment,
            stderr=asyncio.subprocess.PIPE,
        )
        running = Running(process, port)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await running.ended()


class Running:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._port = port
        self._output = asyncio.create_task(self._read())

    async def _read(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()

    async def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        async with asyncio.timeout(DEADLINE):
            output = await self._output
            return await self._process.wait(), output

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    async def ready(self) -> None:
        """Returns once it has joined its consumer group, and nothing is missing."""
        await self.until("/readyz", lambda status, text: (status, text) == (200, "ok\n"))

    async def until(self, path: str, as_wanted: Callable[[int, str], bool]) -> str:
        """What its health server answers once that is as wanted."""
        async for attempt in stamina.retry_context(
            on=(AssertionError, urllib3.exceptions.HTTPError), attempts=None, timeout=DEADLINE, wait_max=0.2
        ):
            with attempt:
                status, text = await asyncio.to_thread(self.get, path)
                assert as_wanted(status, text), f"{status}: {text}"
        return text

    def get(self, path: str) -> tuple[int, str]:
        """What its health server answers."""
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", f"http://127.0.0.1:{self._port}{path}", retries=False, timeout=5)
            return answer.status, answer.data.decode()


def environment_of(settings: Settings, services: Services) -> dict[str, str]:
    """What a worker's process finds the test's own topics, database and buckets by."""
    return os.environ | {
        **services.environment(),
        "DATABASE_URL": str(settings.database_url),
        "TOPICS_FILE": str(settings.topics_file),
        "SINKS_GROUP": settings.sinks_group,
        "STREAMS_GROUP": settings.streams_group,
        "TEMP_BUCKET": settings.temp_bucket,
        "QUARANTINE_BUCKET": settings.quarantine_bucket,
        "BUCKETS": json.dumps(dict(settings.buckets)),
        "DEFAULT_BUCKET": settings.default_bucket,
        "POLICY_FILE": str(ROOT / "policy.yaml"),
        "PYTHONPATH": str(ROOT),
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
