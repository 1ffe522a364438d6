"""Wall clocks that jump an hour ahead, an hour back, and are right again, while uploads come in."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.clock import AHEAD, BACK, RIGHT, Clock
from tests.faults.faults import LASTS, PROCESSES, Lane
from tests.faults.proof import uploads_coming_in
from tests.faults.stage import Stage


@pytest.mark.parametrize("lane", PROCESSES)
async def test_a_clock_jumps(stage: Stage, lane: Lane, tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    stage.environments[lane] = clock.environment()
    async with stage.workers(streams=1, sinks=1), uploads_coming_in(stage, f"clock of {lane}"):
        for offset in (AHEAD, BACK, RIGHT):
            clock.set(offset)
            await asyncio.sleep(2 * LASTS)  # uploads come all the way meanwhile
