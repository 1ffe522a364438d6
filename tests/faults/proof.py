"""What every run must come to, whatever struck it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.checker import violations
from tests.faults.stage import Stage
from tests.faults.uploads import chance, uploads


@asynccontextmanager
async def uploads_coming_in(stage: Stage, seed: str) -> AsyncIterator[None]:
    """Feeds inside; thereafter everything comes to rest, and the checker finds nothing."""
    random, enough = chance(seed), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.feed(uploads(random), random, enough))
        yield
        await stage.look()
        enough.set()
    await all_is_at_rest_and_sound(stage)


async def all_is_at_rest_and_sound(stage: Stage) -> None:
    """Waits until every upload is at its end, has every worker end, and asks the checker."""
    await stage.settled()
    await stage.look()
    assert await stage.drained() == [0, 0, 0]
    assert violations(await stage.evidence()) == []
