"""Keeps processes running: starts them, waits until they are ready, restarts them, ends them in order."""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import urllib3

from mediagate.children import terminate_with_parent
from mediagate.errors import StopError

READY_DEADLINE = 60.0
DRAIN_DEADLINE = 60.0
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0
STEADY_AFTER = 60.0
"""A process that ran this many seconds starts again without having to wait longer than the first backoff."""

log = structlog.get_logger("mediagate.supervisor")


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running; ready once its URL answers 200."""

    name: str
    arguments: Sequence[str]
    ready_url: str
    log_file: Path | None = None


class Supervisor:
    """Runs programs until `stop`, then ends them in their order: the first is where work comes in."""

    def __init__(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        self._programs = programs
        self._environment = environment
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = False

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Starts all, calls `on_ready`, supervises until `stop`; raises StopError where a start fails."""
        keepers: list[asyncio.Task[None]] = []
        try:
            for program in self._programs:
                self._processes[program.name] = await self._start(program)
            await asyncio.gather(*(self._until_ready(program) for program in self._programs))
            on_ready()
            keepers = [asyncio.create_task(self._keep(program)) for program in self._programs]
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({stopped, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        finally:
            self._stopping = True
            for keeper in keepers:
                keeper.cancel()
            for program in self._programs:
                await self._end(self._processes.get(program.name))

    async def _keep(self, program: Program) -> None:
        backoff = FIRST_BACKOFF
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            code = await self._processes[program.name].wait()
            if clock() - started > STEADY_AFTER:
                backoff = FIRST_BACKOFF
            log.warning(
                "process ended, starting it again", process=program.name, code=code, in_seconds=backoff
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            self._processes[program.name] = await self._start(program)

    async def _start(self, program: Program) -> asyncio.subprocess.Process:
        output = program.log_file.open("ab") if program.log_file else None
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *program.arguments,
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=terminate_with_parent,
            )
        finally:
            if output:
                output.close()

    async def _until_ready(self, program: Program) -> None:
        process = self._processes[program.name]
        ended = asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(READY_DEADLINE):
                while not await asyncio.to_thread(_answers, program.ready_url):
                    done, _ = await asyncio.wait({ended}, timeout=0.1)
                    if done:
                        raise StopError(f"{program.name} did not start: {_last_line(program.log_file)}")
        except TimeoutError as error:
            raise StopError(f"{program.name} is not ready after {READY_DEADLINE:.0f} s") from error
        finally:
            ended.cancel()

    async def _end(self, process: asyncio.subprocess.Process | None) -> None:
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(DRAIN_DEADLINE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, timeout=2.0, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _last_line(log_file: Path | None) -> str:
    if log_file is None:
        return "see its output above"
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else 'no output'} ({log_file})"
