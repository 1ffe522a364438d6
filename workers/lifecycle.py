"""How a worker's life ends: it is told to stop, or something failed."""

import asyncio
from contextlib import suppress
from typing import Any

import faust
import structlog

from mediagate.errors import MediagateError, StopError

STOP_DEADLINE = 20.0

log = structlog.get_logger("workers.lifecycle")


async def until_stop_or_failure(app: faust.App, stop: asyncio.Event, *works: asyncio.Future[None]) -> None:
    """Returns once `stop` is set; raises what ended one of `works`, StopError where the consumer ended."""
    stopped = asyncio.create_task(stop.wait())
    consumer_ended = asyncio.create_task(app.wait_until_stopped())
    try:
        ends: set[asyncio.Future[Any]] = {stopped, consumer_ended, *works}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        consumer_ended.cancel()
    for work in works:
        if work.done() and (error := work.exception()) is not None:
            raise _as_failure(error) from error
    if not stop.is_set():
        log.error("the Kafka consumer ended", exc_info=app.crash_reason)
        raise StopError(f"the Kafka consumer ended: {app.crash_reason!r}")


async def stop_app(app: faust.App) -> None:
    """Leaves the group; gives up after a while: only finished work is committed, so nothing is lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_DEADLINE):
            await app.stop()


def _as_failure(error: BaseException) -> MediagateError:
    if isinstance(error, MediagateError):
        return error
    log.error("unexpected failure", exc_info=error)
    return StopError(repr(error))
