"""Wall clocks that jump an hour ahead, an hour back, and are right again, while uploads come in."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.checker import violations
from tests.faults.clock import AHEAD, BACK, RIGHT, Clock
from tests.faults.faults import LASTS, PROCESSES, Lane
from tests.faults.stage import Stage
from tests.faults.uploads import chance, uploads


@pytest.mark.parametrize("lane", PROCESSES)
async def test_a_clock_jumps(stage: Stage, lane: Lane, tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    stage.environments[lane] = clock.environment()
    random, enough = chance(f"clock of {lane}"), asyncio.Event()
    async with stage.workers(streams=1, sinks=1):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.feed(uploads(random), random, enough))
            for offset in (AHEAD, BACK, RIGHT):
                clock.set(offset)
                await asyncio.sleep(2 * LASTS)  # uploads come all the way meanwhile
            await stage.look()
            enough.set()
        await stage.settled()
        await stage.look()
        assert await stage.drained() == [0, 0, 0]
    assert violations(await stage.evidence()) == []
