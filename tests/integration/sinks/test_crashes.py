"""A crash after any step, then the same decision again: everything ends in the same place, once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any
from uuid import UUID

import pytest

from mediagate.events import Outcome
from mediagate.jobs import State
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics
from sinks.effects import Effects
from sinks.records import Records, records_of
from tests.integration.sinks.scene import Scene, decision

STEPS = 7
"""decide, reserve, HEAD, copy, record, delete, tell."""


class Crash(Exception):  # noqa: N818 - not an error that anything may handle
    """The process is gone."""


class CrashAfter:
    """Lets collaborators take so many steps together; the step is done, its caller never learns of it."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def wrap(self, collaborator: Any) -> Any:
        return _Wrapped(collaborator, self)

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class _Wrapped:
    def __init__(self, collaborator: Any, crash: CrashAfter) -> None:
        self._collaborator = collaborator
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._collaborator, name)
        assert iscoroutinefunction(method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = await method(*args, **kwargs)
            self._crash.step()
            return result

        return call


@pytest.fixture
def crashing(
    scene: Scene, declared: Topics, s3: S3, publisher: InMemoryPublisher, now: Callable[[], datetime]
) -> Callable[[int], Effects]:
    def make(steps: int) -> Effects:
        crash = CrashAfter(steps)

        @asynccontextmanager
        async def records(media_id: UUID) -> AsyncIterator[Records]:
            async with records_of(scene.pool, media_id) as real:
                yield crash.wrap(real)

        return Effects(scene.settings, declared, records, crash.wrap(s3), crash.wrap(publisher), now)

    return make


@pytest.mark.parametrize("steps", range(1, STEPS + 1))
@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.REJECTED])
@pytest.mark.parametrize("other_decision_follows", [False, True])
async def test_ends_in_the_same_place_once(
    scene: Scene,
    effects: Effects,
    crashing: Callable[[int], Effects],
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
async def test_every_step_is_crashed_after(
    scene: Scene, crashing: Callable[[int], Effects], outcome: Outcome
) -> None:
    await crashing(STEPS + 1).carry_out(decision(scene.upload(), outcome))


async def test_a_crash_after_every_step_in_turn(
    scene: Scene, crashing: Callable[[int], Effects], effects: Effects, publisher: InMemoryPublisher
) -> None:
    event = decision(scene.upload(), Outcome.APPROVED)
    for steps in range(1, STEPS):
        with pytest.raises(Crash):
            await crashing(min(steps, 3)).carry_out(event)

    assert await effects.carry_out(event) is State.PUBLISHED

    assert scene.everywhere() == {scene.settings.buckets["post"]: ["photo.jpg"]}
    assert len(publisher.records) == 1


async def test_a_reserved_name_is_kept_even_if_a_better_one_becomes_free(
    scene: Scene, effects: Effects, crashing: Callable[[int], Effects]
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
