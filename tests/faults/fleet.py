"""Worker processes that are kept running, as a supervisor does, and struck."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import psutil
import urllib3

from mediagate.children import die_with_parent
from mediagate.failpoints import Action, Step
from tests.faults.script import SESSION_TIMEOUT
from tests.worker_process import free_port

RESTART_PAUSE = 0.5
READY = 300.0
"""Seconds; other faults may strike meanwhile, or a crashed service be starting."""
DRAINED = 60.0
POLL = 0.05
ARMED_PATIENCE = 45.0
"""Seconds in which an armed worker must come to its step; starting and joining are most of it."""
PAUSE = SESSION_TIMEOUT + 2.0


class MissedError(Exception):
    """Nobody was there to be struck."""


class Worker:
    """One place for a process of `program`: whatever ends there is started again.

    `ends` counts how its processes ended while nobody had told them to: by exit code.
    """

    def __init__(
        self, program: Path, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path
    ) -> None:
        self._program = program
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._port_name = f"{program.stem.removesuffix('_process').upper()}_PORT"
        self._process: asyncio.subprocess.Process | None = None
        self._armed: dict[str, object] = {}
        self._started = asyncio.Event()
        self._wanted = True
        self.port = 0
        self.ends: Counter[int] = Counter()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Worker"]:
        """Kept running inside; killed at the end if it is still there."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            self._wanted = False
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
            await keeper

    async def ready(self) -> None:
        """Once a process is a member of its group, and nothing is missing."""
        async with asyncio.timeout(READY):
            while not await asyncio.to_thread(self._is_ready):  # noqa: ASYNC110 - only HTTP tells
                await asyncio.sleep(POLL)

    async def drained(self) -> int:
        """Tells the process to end, and no other to follow: its exit code."""
        process = await self._current()
        self._wanted = False
        self._signal(process, signal.SIGTERM)
        return await self._end_of(process)

    async def killed(self) -> None:
        """Kills the process."""
        process = await self._current()
        self._signal(process, signal.SIGKILL)
        await self._end_of(process)

    async def paused(self) -> None:
        """Freezes the process past its session, and lets it go on."""
        process = await self._current()
        self._signal(process, signal.SIGSTOP)
        await asyncio.sleep(PAUSE)
        self._signal(process, signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._process.pid if self._process is not None and self._started.is_set() else None

    @property
    def armed(self) -> bool:
        """Whether the next process will be struck."""
        return bool(self._armed)

    def arm(self, step: Step, action: Action, hit: int) -> None:
        """The next process that is started will be struck at that passage of the step."""
        self._armed = {step: {"action": action, "hit": hit}}

    async def struck_at(self, step: Step, action: Action, hit: int) -> None:
        """Puts an armed process in the place of the present one; returns once it was struck, and is well."""
        before = await self._current()
        self.arm(step, action, hit)
        self._signal(before, signal.SIGTERM)
        await self._end_of(before)
        await self.struck(action)

    async def struck(self, action: Action) -> None:
        """Returns once the armed process was struck, and what was frozen goes on again.

        Raises MissedError where it does not come to its step in time, or ends before.
        """
        armed = await self._current()
        try:
            async with asyncio.timeout(ARMED_PATIENCE):
                await (armed.wait() if action is Action.KILL else self._until_stopped(armed))
        except TimeoutError:
            raise MissedError("the armed worker does not come to its step") from None
        if action is Action.STOP:
            await asyncio.sleep(PAUSE)
            self._signal(armed, signal.SIGCONT)
        elif armed.returncode != -signal.SIGKILL:
            raise MissedError(f"the armed worker ended with {armed.returncode}")

    @staticmethod
    def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended by itself, and will be followed
            process.send_signal(number)

    def _is_ready(self) -> bool:
        try:
            with urllib3.PoolManager() as pool:
                answer = pool.request("GET", f"http://127.0.0.1:{self.port}/readyz", retries=False, timeout=5)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == HTTPStatus.OK

    async def _keep(self) -> None:
        while self._wanted:
            with self._log.open("ab") as log:
                process = await self._start(log)
            self._process = process
            self._started.set()
            if not self._wanted:  # it was let go of meanwhile
                process.kill()
            code = await process.wait()
            self._started.clear()
            self.ends[code] += 1
            await asyncio.sleep(RESTART_PAUSE)

    async def _start(self, log: object) -> asyncio.subprocess.Process:
        self.port = free_port()
        armed, self._armed = self._armed, {}
        environment = {self._port_name: str(self.port), "FAILPOINTS": json.dumps(armed)}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(self._program),
            *self._arguments,
            cwd=self._log.parent,
            env={**self._environment, **environment},
            stderr=log,  # type: ignore[arg-type]
            stdout=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

    async def _current(self) -> asyncio.subprocess.Process:
        async with asyncio.timeout(DRAINED):
            await self._started.wait()
        assert self._process is not None
        return self._process

    async def _end_of(self, process: asyncio.subprocess.Process) -> int:
        try:
            async with asyncio.timeout(DRAINED):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = await process.wait()
        while self._process is process and self._started.is_set():  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        return code

    @staticmethod
    async def _until_stopped(process: asyncio.subprocess.Process) -> None:
        try:
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110
                await asyncio.sleep(POLL)
        except psutil.NoSuchProcess:
            raise MissedError(f"the armed worker ended with {await process.wait()}") from None
