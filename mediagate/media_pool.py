"""Processes in which media is decoded, so that a crash or a hang there hurts one item and not the worker."""

import asyncio
import os
import resource
import signal
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import TypeVar

import stamina
import structlog
from pebble import ProcessExpired, ProcessPool

from mediagate.children import die_with_parent
from mediagate.errors import StopError, TransientError
from mediagate.progress import step_ended
from mediagate.scanners import Unscannable
from mediagate.scanners.reasons import Reason
from mediagate.settings import MediaSettings

CRASHES_ALLOWED = 1
"""The first may be the machine's fault (out of memory, an operator's kill); the second is the item's."""
GRACE = 30.0
"""Seconds beyond an item's deadline after which the pool itself counts as stuck."""

Item = TypeVar("Item")
Result = TypeVar("Result")

log = structlog.get_logger("mediagate.media_pool")


class MediaPool:
    """Runs picklable functions in processes of limited memory; each call has a deadline."""

    def __init__(self, settings: MediaSettings) -> None:
        self._processes = settings.scanner_processes
        self._deadline = settings.scan_timeout.total_seconds()
        self._memory = settings.scanner_memory_bytes
        self._free = asyncio.Semaphore(self._processes)
        self._pool = self._new_pool()
        self._closed = False

    def __enter__(self) -> "MediaPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes; what they were doing is dropped."""
        self._closed = True
        _end(self._pool)

    async def map(
        self, function: Callable[[Item], Result | Unscannable], items: Sequence[Item]
    ) -> list[Result | Unscannable]:
        """The function's result per item, in the items' order; after a failure no further item is begun."""
        results: dict[int, Result | Unscannable] = {}
        waiting = deque(enumerate(items))

        async def work() -> None:
            try:
                while waiting:
                    index, item = waiting.popleft()
                    results[index] = await self.run(function, item)
            finally:
                waiting.clear()

        ends = await asyncio.gather(*(work() for _ in range(self._processes)), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return [results[index] for index in range(len(items))]

    async def run(self, function: Callable[[Item], Result | Unscannable], item: Item) -> Result | Unscannable:
        """The function's result, or Unscannable where it crashes or hangs; MediagateErrors propagate.

        TransientError where the wall clock jumps meanwhile.
        """
        for _ in range(CRASHES_ALLOWED + 1):
            try:
                async with self._free:
                    return await self._call(function, item)
            except ProcessExpired as error:
                log.warning("a decoder process ended", exit_code=error.exitcode, pid=error.pid)
        return Unscannable(Reason.DECODER_CRASHED.value)

    async def _call(
        self, function: Callable[[Item], Result | Unscannable], item: Item
    ) -> Result | Unscannable:
        pool, monotonic = self._pool, asyncio.get_running_loop().time
        started = monotonic()
        try:
            future = asyncio.wrap_future(pool.schedule(function, args=(item,), timeout=self._deadline))
            # Never cancelled: pebble could then kill the process while it is at the next item already.
            done, _ = await asyncio.wait({future}, timeout=self._deadline + GRACE)
            if not done:
                raise BrokenProcessPool("no answer")
            return future.result()
        except TimeoutError as error:
            if monotonic() - started < self._deadline:  # pebble goes by the wall clock
                raise TransientError("media pool: the wall clock jumped") from error
            return Unscannable(Reason.SCAN_TIMEOUT.value)
        except RuntimeError as error:  # pebble's answer once it has lost track of its processes
            if self._closed:
                raise StopError("the media pool is closed") from error
            await self._replace(pool)
            raise TransientError(f"media pool: {error}") from error
        finally:
            step_ended()

    async def _replace(self, broken: ProcessPool) -> None:
        if self._pool is broken:
            log.error("the media pool is replaced")
            self._pool = self._new_pool()
            await asyncio.to_thread(_end, broken)

    def _new_pool(self) -> ProcessPool:
        pool = ProcessPool(
            max_workers=self._processes,
            initializer=_prepare_process,
            initargs=(os.getpid(), self._memory),
            context=get_context("spawn"),  # the parent has threads: a fork could inherit a held lock
        )
        pool.schedule(os.getpid)  # pebble starts its processes with the first call
        return pool


def _prepare_process(parent: int, memory: int) -> None:
    os.setpgid(0, 0)  # what a terminal sends to the worker's group is for the worker alone
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a hung decoder runs no Python handler
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stamina.instrumentation.set_on_retry_hooks([])  # the parent logs what comes of retries


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
