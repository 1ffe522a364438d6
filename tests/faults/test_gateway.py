"""The same Idempotency-Key is the same upload, whatever becomes of the answers."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from mediagate.failpoints import Action, Step
from tests.faults.faults import Lane, lane_of
from tests.faults.proof import all_is_at_rest_and_sound
from tests.faults.stage import Stage
from tests.faults.uploads import Kind, Upload, chance, uploads

CLIENTS, TIMES = 5, 3


def by_clients(seed: str, times: int) -> Iterator[Upload]:
    drawn = islice(uploads(chance(seed)), CLIENTS)
    return (replace(each, kind=Kind.CLIENT, times=times) for each in drawn)


async def answers_to(stage: Stage, brought: Iterator[Upload]) -> Counter[tuple[str, bool]]:
    """How often each key was answered with an upload, and how often without; all is at rest and sound."""
    await stage.feed(brought, chance("gateway"), asyncio.Event())
    await all_is_at_rest_and_sound(stage)
    assert len(stage.accepted) == CLIENTS
    return Counter((each.key, each.media_id is not None) for each in stage.asked)


async def test_all_that_a_hasty_client_sends_at_once_is_one_upload(stage: Stage) -> None:
    async with stage.workers(streams=1, sinks=1):
        answers = await answers_to(stage, by_clients("hasty", TIMES))
    assert {made: times for (_, made), times in answers.items()} == {True: TIMES, False: 1}


@pytest.mark.parametrize("step", [step for step in Step if lane_of(step) is Lane.GATEWAY])
async def test_what_a_killed_gateway_had_done_is_found_again(stage: Stage, step: Step) -> None:
    def arm() -> None:
        stage.gateway[0].arm(step, Action.KILL, hit=1)

    async with stage.workers(streams=1, sinks=1, arm=arm):
        await answers_to(stage, by_clients(step, times=1))
        assert stage.gateway[0].ends[-9] == 1
