"""A checker that has never failed proves nothing: builds that are broken on purpose must not pass it."""

import asyncio

from mediagate.failpoints import Action, Step
from tests.faults.checker import violations
from tests.faults.fleet import Worker
from tests.faults.stage import Stage
from tests.faults.uploads import chance, uploads


async def found_after(stage: Stage, worker_of: list[Worker], step: Step, hit: int) -> list[str]:
    """What the checker says after a kill at a step of a worker."""
    random, enough = chance("controls"), asyncio.Event()
    async with stage.workers(streams=1, sinks=1), asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(stage.feed(uploads(random), random, enough))
        (worker,) = worker_of
        await worker.struck_at(step, Action.KILL, hit)
        enough.set()
        await feeding
        await stage.read_to_the_end()
        await stage.look()
        assert await stage.drained() == [0, 0, 0]
    return violations(await stage.evidence())


async def test_a_commit_before_the_emit_is_found(stage: Stage) -> None:
    stage.arguments["streams"] = ("commit-first",)
    found = await found_after(stage, stage.streams, Step.BEFORE_COMMIT, hit=2)
    assert any(line.startswith("offsets: ") for line in found), found
    assert any(line.startswith("ends: ") for line in found), found


async def test_a_sink_that_does_its_work_anew_is_found(stage: Stage) -> None:
    stage.arguments["sinks"] = ("new-name-each-time",)
    found = await found_after(stage, stage.sinks, Step.AFTER_COPY, hit=3)
    assert any(line.startswith("places: an orphan") for line in found), found
