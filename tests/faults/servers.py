"""What may happen to a server's processes while they run; it is always undone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import psutil

from devstack.service import Service
from tests.faults.fleet import POLL, MissedError
from tests.faults.stage import PATIENCE, Stage

ServiceOf = Callable[[Stage], Service]


@contextmanager
def frozen(service: Service) -> Iterator[None]:
    """No process of the service runs inside."""
    leader = _leader(service)
    stopped = [leader]
    try:
        leader.suspend()  # first: it starts the others
        stopped += leader.children(recursive=True)
        for process in stopped[1:]:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def freeze(service_of: ServiceOf, seconds: float) -> Callable[[Stage, Random], Awaitable[None]]:
    """The service is silent so long, with every connection open, and answers again in the end."""

    async def strike(stage: Stage, _: Random) -> None:
        service = service_of(stage)
        with frozen(service):
            await asyncio.sleep(seconds)
        await answering(service)

    return strike


async def answering(service: Service) -> None:
    """Returns once it answers; raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(service.is_ready):  # noqa: ASYNC110 - only a request tells
            await asyncio.sleep(POLL)


def _leader(service: Service) -> psutil.Process:
    if service.pid is None:
        raise MissedError(f"{service.name} does not run")
    return psutil.Process(service.pid)
