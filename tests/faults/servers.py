"""What may happen to a server's processes while they run: frozen, or without room on disk; always undone."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from random import Random

import psutil
from botocore.exceptions import ClientError

from devstack.process import runs
from devstack.service import Service
from tests.faults.checker import CANARIES
from tests.faults.fleet import POLL, MissedError
from tests.faults.stage import PATIENCE, Stage

ServiceOf = Callable[[Stage], Service]
Strike = Callable[[Stage, Random], Awaitable[None]]
ENDS_WITHIN = 30.0
"""Seconds in which a server that cannot write comes to write something."""
ROOM_LACKS = 3.0
LIMIT_TIMEOUT = 10.0


@contextmanager
def frozen(service: Service) -> Iterator[Sequence[psutil.Process]]:
    """These, all processes of the service, do not run inside."""
    stopped: list[psutil.Process] = []
    try:
        for process in _family(service):
            stopped.append(process)
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        yield stopped
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@asynccontextmanager
async def without_room(service: Service) -> AsyncIterator[None]:
    """Inside, no byte that the service writes to a file finds room."""
    try:
        await asyncio.to_thread(limit_files, service, "0")
        yield
    finally:
        if service.pid is not None:
            await asyncio.to_thread(limit_files, service, "unlimited")


def freeze(service_of: ServiceOf, seconds: float) -> Strike:
    """The service is silent so long, with every connection open, and answers again in the end."""

    async def strike(stage: Stage, _: Random) -> None:
        service = service_of(stage)
        with frozen(service) as processes:
            await asyncio.sleep(seconds)
            if any(runs(each) and each.status() != psutil.STATUS_STOPPED for each in processes):
                raise MissedError(f"{service.name} was not frozen all the time")
        await _answering(service)

    return strike


def end_without_room(service_of: ServiceOf) -> Strike:
    """The service ends by itself, since it cannot write; it is started again when there is room."""

    async def strike(stage: Stage, _: Random) -> None:
        service = service_of(stage)
        try:
            async with without_room(service):
                await _ended(service)
        except TimeoutError:
            raise MissedError(f"{service.name} had nothing to write") from None
        finally:
            await asyncio.to_thread(service.start)

    return strike


async def refuse_without_room(stage: Stage, _: Random) -> None:
    """S3 takes no object, and goes on when there is room."""
    async with without_room(stage.stack.s3):
        await asyncio.sleep(ROOM_LACKS)
        with suppress(ClientError):
            await asyncio.to_thread(_put, stage)
            raise MissedError("S3 had room")


def _put(stage: Stage) -> None:
    stage.client.put_object(Bucket=stage.settings.temp_bucket, Key=f"{CANARIES}room", Body=b"none")


def _family(service: Service) -> Iterator[psutil.Process]:
    """The first process, and only then those that it has made: it can be kept from making others."""
    if service.pid is None:
        raise MissedError(f"{service.name} does not run")
    leader = psutil.Process(service.pid)
    yield leader
    yield from leader.children(recursive=True)


def limit_files(service: Service, size: str) -> None:
    """The largest file that its processes may write from now on: bytes, or `unlimited`."""
    # By a program that runs as the service's user: even root may need a capability to do it to others.
    user = service.user
    with suppress(psutil.NoSuchProcess):
        for process in _family(service):
            done = subprocess.run(
                ["prlimit", f"--pid={process.pid}", f"--fsize={size}:"],
                capture_output=True,
                timeout=LIMIT_TIMEOUT,
                check=False,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
            if runs(process):
                done.check_returncode()


async def _answering(service: Service) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(service.is_ready):  # noqa: ASYNC110 - only a request tells
            await asyncio.sleep(POLL)


async def _ended(service: Service) -> None:
    async with asyncio.timeout(ENDS_WITHIN):
        while service.pid is not None:  # noqa: ASYNC110 - it is nobody's event
            await asyncio.sleep(POLL)
