"""Workers of which something is wedged, as processes."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from mediagate.settings import WorkerSettings

PROGRAM = Path(__file__).with_name("watched_worker.py")
TIMEOUT = 8.0
"""The watchdog's, in seconds: longer than a worker takes to join its group, if no member is silent."""
IMPATIENCE = {"watchdog_timeout": TIMEOUT, "scan_timeout": 1, "vision_timeout": 1, "modal_timeout": 1}
DEADLINE = 90.0

Settings = TypeVar("Settings", bound=WorkerSettings)


def patient(settings: Settings) -> Settings:
    """The settings of a worker that may have to wait until a dead member's session is over."""
    return settings.model_copy(update={"watchdog_timeout": timedelta(minutes=10)})


class Watched:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: list[str] = []

    async def works(self) -> None:
        """Returns when it is at work, or where it is wedged."""
        await self.says("working")

    async def says(self, words: str) -> None:
        """Returns when it has written a line with these words."""
        async with asyncio.timeout(DEADLINE):
            while not any(words in line for line in self._said):
                self._said.append(await self._line())
                assert self._said[-1], "".join(self._said)

    async def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        async with asyncio.timeout(DEADLINE):
            while line := await self._line():
                self._said.append(line)
            return await self._process.wait(), "".join(self._said)

    async def outlives(self, seconds: float) -> bool:
        """Whether it still runs so much later."""
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({ended}, timeout=seconds)
        ended.cancel()
        return self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    async def _line(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.readline()).decode()


@asynccontextmanager
async def watched(module: str, settings: WorkerSettings, wedged: str) -> AsyncIterator[Watched]:
    """The process, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        module,
        settings.model_dump_json(exclude={"aws_secret_access_key"}),
        wedged,
        env={"PYTHONPATH": str(PROGRAM.parents[1])},
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    running = Watched(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ended()
