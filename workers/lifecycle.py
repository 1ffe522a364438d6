"""How a worker's life goes: it starts, works until it is told to stop or something fails, and ends."""

import asyncio
from collections.abc import Iterable
from typing import Any

import faust
import structlog

from mediagate.errors import MediagateError, StopError

START_DEADLINE = 15.0
"""Seconds, of an app that is to stop again."""
STOP_DEADLINE = 20.0

log = structlog.get_logger("workers.lifecycle")


async def until_stop_or_failure(app: faust.App, stop: asyncio.Event, *works: asyncio.Future[None]) -> None:
    """Starts the app and returns once `stop` is set.

    Raises what ended one of `works` or kept the app from starting, StopError where the consumer ended.
    """
    starting = asyncio.create_task(app.start())
    stopped = asyncio.create_task(stop.wait())
    consumer_ended: asyncio.Future[None] = asyncio.create_task(_end_of_consumer(app, starting))
    try:
        ends: set[asyncio.Future[Any]] = {stopped, consumer_ended, *works}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        raise_failures([*works, consumer_ended])
        await asyncio.wait({starting}, timeout=START_DEADLINE)
    finally:
        for task in (starting, stopped, consumer_ended):
            task.cancel()


async def stop_app(app: faust.App) -> None:
    """Leaves the group; gives up after a while: only finished work is committed, so nothing is lost."""
    # Not cancelled at its deadline: Faust swallows that, and waits on.
    stopping = asyncio.create_task(app.stop())
    await asyncio.wait({stopping}, timeout=STOP_DEADLINE)
    if not stopping.done():
        log.warning("the Kafka consumer does not stop")
        return
    stopping.result()


def raise_failures(works: Iterable[asyncio.Future[None]]) -> None:
    """Raises what ended the first of the works that failed."""
    for work in works:
        if work.done() and not work.cancelled() and (error := work.exception()) is not None:
            raise _as_failure(error) from error


async def _end_of_consumer(app: faust.App, starting: asyncio.Task[None]) -> None:
    await starting
    await app.wait_until_stopped()
    log.error("the Kafka consumer ended", exc_info=app.crash_reason)
    raise StopError(f"the Kafka consumer ended: {app.crash_reason!r}")


def _as_failure(error: BaseException) -> MediagateError:
    if isinstance(error, MediagateError):
        log.error("worker ends", error=str(error))  # now, for its end may hang
        return error
    log.error("unexpected failure", exc_info=error)
    return StopError(repr(error))
