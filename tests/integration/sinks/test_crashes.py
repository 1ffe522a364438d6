"""A crash after any step, then the same decision again: everything ends in the same place, once."""

import asyncio

import pytest

from mediagate.events import Outcome
from mediagate.jobs import State
from mediagate.testing.publisher import InMemoryPublisher
from sinks.effects import Effects
from tests.integration.sinks.crashes import Crash, Crashing
from tests.integration.sinks.scene import Scene, decision

STEPS = {Outcome.APPROVED: 7, Outcome.REJECTED: 6}
"""decide, reserve a name (for an approval), HEAD, copy, record, delete, tell."""
EVERY_STEP = [(outcome, step) for outcome, steps in STEPS.items() for step in range(1, steps + 1)]


@pytest.mark.parametrize(("outcome", "steps"), EVERY_STEP)
@pytest.mark.parametrize("other_decision_follows", [False, True])
async def test_ends_in_the_same_place_once(
    scene: Scene,
    effects: Effects,
    crashing: Crashing,
    publisher: InMemoryPublisher,
    outcome: Outcome,
    steps: int,
    other_decision_follows: bool,
) -> None:
    upload = scene.upload()
    await scene.insert(upload)
    event = decision(upload, outcome)
    other = Outcome.REJECTED if outcome is Outcome.APPROVED else Outcome.APPROVED

    with pytest.raises(Crash):
        await crashing(steps).carry_out(event)
    if other_decision_follows:
        await effects.carry_out(decision(upload, other, cause="2"))
    await effects.carry_out(event)

    approved = outcome is Outcome.APPROVED
    assert await scene.state(upload.media_id) == (State.PUBLISHED if approved else State.QUARANTINED)
    assert (await scene.row("media_items", upload.media_id) is not None) == approved
    assert (await scene.row("system_reports", upload.media_id) is not None) != approved
    place = (
        {scene.settings.buckets["post"]: ["photo.jpg"]}
        if approved
        else {scene.settings.quarantine_bucket: [str(upload.media_id)]}
    )
    assert scene.everywhere() == place
    assert publisher.records
    assert all(record == publisher.records[0] for record in publisher.records)


@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.REJECTED])
async def test_every_step_is_crashed_after(scene: Scene, crashing: Crashing, outcome: Outcome) -> None:
    await crashing(STEPS[outcome] + 1).carry_out(decision(scene.upload(), outcome))


async def test_a_crash_after_every_step_in_turn(
    scene: Scene, crashing: Crashing, effects: Effects, publisher: InMemoryPublisher
) -> None:
    event = decision(scene.upload(), Outcome.APPROVED)
    for steps in range(1, STEPS[Outcome.APPROVED]):
        with pytest.raises(Crash):
            await crashing(min(steps, 3)).carry_out(event)

    assert await effects.carry_out(event) is State.PUBLISHED

    assert scene.everywhere() == {scene.settings.buckets["post"]: ["photo.jpg"]}
    assert len(publisher.records) == 1


async def test_a_reserved_name_is_kept_even_if_a_better_one_becomes_free(
    scene: Scene, effects: Effects, crashing: Crashing
) -> None:
    first, second = scene.upload(), scene.upload()
    with pytest.raises(Crash):
        await crashing(2).carry_out(decision(first, Outcome.APPROVED))  # has reserved photo.jpg
    with pytest.raises(Crash):
        await crashing(5).carry_out(decision(second, Outcome.APPROVED))  # has copied to the next name
    scene.client.delete_object(Bucket=first.bucket, Key=first.key)

    assert await effects.carry_out(decision(first, Outcome.APPROVED)) is State.UNSCANNABLE
    assert await effects.carry_out(decision(second, Outcome.APPROVED)) is State.PUBLISHED

    bucket = scene.settings.buckets["post"]
    assert scene.everywhere() == {bucket: [f"photo-{second.media_id.hex[:8]}.jpg"]}


async def test_whoever_has_copied_to_a_name_keeps_it_beside_others_who_want_it(
    scene: Scene, effects: Effects, crashing: Crashing
) -> None:
    first, others = scene.upload(), [scene.upload() for _ in range(12)]
    with pytest.raises(Crash):
        await crashing(4).carry_out(decision(first, Outcome.APPROVED))  # its copy is photo.jpg
    uploads = [*others[:6], first, *others[6:]]

    await asyncio.gather(*(effects.carry_out(decision(upload, Outcome.APPROVED)) for upload in uploads))

    ((_, keys),) = scene.everywhere().items()
    assert len(keys) == len(uploads)
    item = await scene.row("media_items", first.media_id)
    assert item is not None
    assert item["key"] == "photo.jpg"
