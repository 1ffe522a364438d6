"""Each fault alone, on one worker of each kind: all that was accepted ends once, where it must."""

import pytest

from mediagate.failpoints import Action, Step
from tests.faults.faults import Fault, faults, lane_of, some_passage
from tests.faults.proof import uploads_coming_in
from tests.faults.stage import Stage
from tests.faults.uploads import chance

FROZEN = (Step.AFTER_QUEUE, Step.BEFORE_COMMIT, Step.AFTER_COPY)
"""One step of each worker; the seeded run freezes them at every step."""
STEPS = [(step, Action.KILL) for step in Step] + [(step, Action.STOP) for step in FROZEN]
OTHERS = [fault for fault in faults() if " at " not in fault.name]


@pytest.mark.parametrize(("step", "action"), STEPS)
async def test_a_worker_struck_at_a_step(stage: Stage, step: Step, action: Action) -> None:
    hit = some_passage(step, chance(step))

    def arm() -> None:
        stage.workers_of(lane_of(step))[0].arm(step, action, hit)

    async with stage.workers(streams=1, sinks=1, arm=arm), uploads_coming_in(stage, step):
        await stage.workers_of(lane_of(step))[0].struck(action)


@pytest.mark.parametrize("fault", OTHERS, ids=lambda fault: fault.name.replace(" ", "_"))
async def test_any_other_fault(stage: Stage, fault: Fault) -> None:
    async with stage.workers(streams=1, sinks=1), uploads_coming_in(stage, fault.name):
        await fault.strike(stage, chance(fault.name))
