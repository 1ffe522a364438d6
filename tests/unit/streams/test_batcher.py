"""The batcher without a broker: what it hands on, in what order, and what it never commits."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from mediagate.errors import StopError, TransientError
from mediagate.events import OutgoingRecord
from mediagate.media import MediaType
from mediagate.progress import step_ended
from streams.arrivals import Arrival
from streams.batcher import Batcher, Publish
from streams.windows import WindowLimits

PARTITION = TP("uploads", 0)
DEADLINE = 5.0


def arrival(offset: int, generation: int = 1) -> Arrival:
    record = ConsumerRecord("uploads", 0, offset, 0, 0, None, b"%d" % offset, 0, 0, 0, ())
    return Arrival(PARTITION, cast(ConsumerRecord, record), generation, None, None)


def offsets(arrivals: Sequence[Arrival]) -> list[int]:
    return [item.record.offset for item in arrivals]


@dataclass
class World:
    """Everything around a batcher, under the test's control."""

    generation: int = 1
    windows: list[list[int]] = field(default_factory=list)
    published: list[int] = field(default_factory=list)
    committed: list[Mapping[TP, int]] = field(default_factory=list)
    expected: list[list[int]] = field(default_factory=list)
    wanted: list[bool] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def batcher(
        self,
        max_items: int,
        max_wait: float = 0.01,
        publish: Publish | None = None,
        clock: Callable[[], float] = monotonic,
        in_flight: int = 2,
        commit_interval: float = 0.0,
    ) -> Batcher:
        return Batcher(
            MediaType.IMAGE,
            WindowLimits(max_items, max_wait),
            expect=lambda arrivals: self.expected.append(offsets(arrivals)),
            decide=self._decide,
            publish=publish or self._publish,
            commit=self._commit,
            wants_more=self.wanted.append,
            generation=lambda: self.generation,
            clock=clock,
            in_flight=in_flight,
            commit_interval=commit_interval,
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self.changed:
            await self.changed.wait_for(condition)

    async def _note(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def _decide(self, arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        self.windows.append(offsets(arrivals))
        await self._note()
        await self.gate.wait()
        return [OutgoingRecord("decisions", None, item.record.value, ()) for item in arrivals]

    async def _publish(self, records: Sequence[OutgoingRecord]) -> None:
        self.published += [int(record.value or b"") for record in records]
        await self._note()

    async def _commit(self, positions: Mapping[TP, int]) -> bool:
        self.committed.append(positions)
        await self._note()
        return True


@pytest.fixture
async def world() -> World:
    return World()


async def test_processes_windows_in_order_and_commits_what_is_settled(world: World) -> None:
    world.gate.set()
    batcher = world.batcher(max_items=2)
    batcher.put([arrival(offset) for offset in range(5)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: {PARTITION: 5} in world.committed)
    running.cancel()
    assert world.windows == [[0, 1], [2, 3], [4]]
    assert world.published == [0, 1, 2, 3, 4]


async def test_tells_what_a_window_gets_while_it_fills(world: World) -> None:
    batcher = world.batcher(max_items=3, max_wait=3600)
    batcher.put([arrival(0)])
    batcher.put([arrival(offset) for offset in range(1, 5)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: world.windows == [[0, 1, 2]])
    running.cancel()
    assert world.expected == [[0], [1, 2], [3, 4]]


async def test_commits_the_first_at_once_and_then_no_more_often_than_the_interval(world: World) -> None:
    world.gate.set()
    batcher = world.batcher(max_items=1, commit_interval=3600)
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(0)])
    await world.until(lambda: world.committed == [{PARTITION: 1}])
    batcher.put([arrival(1), arrival(2)])
    await world.until(lambda: world.published == [0, 1, 2])
    assert world.committed == [{PARTITION: 1}]
    await batcher.release(DEADLINE)
    running.cancel()
    assert world.committed == [{PARTITION: 1}, {PARTITION: 3}], "a release commits the rest"


async def test_scans_the_next_while_others_wait_for_the_broker_and_commits_a_prefix(world: World) -> None:
    acknowledged = {number: asyncio.Event() for number in range(3)}

    async def slow_broker(records: Sequence[OutgoingRecord]) -> None:
        await world._publish(records)
        await acknowledged[int(records[0].value or b"")].wait()

    world.gate.set()
    batcher = world.batcher(max_items=1, publish=slow_broker, in_flight=2)
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(0), arrival(1), arrival(2)])
    await world.until(lambda: world.published == [0, 1])
    acknowledged[1].set()
    await world.until(lambda: world.published == [0, 1, 2])
    assert world.committed == [], "the first is not acknowledged"
    acknowledged[0].set()
    await world.until(lambda: world.committed == [{PARTITION: 2}])
    acknowledged[2].set()
    await world.until(lambda: world.committed == [{PARTITION: 2}, {PARTITION: 3}])
    running.cancel()


async def test_no_more_windows_are_in_flight_than_may_be(world: World) -> None:
    async def silent_broker(records: Sequence[OutgoingRecord]) -> None:
        await world._publish(records)
        await asyncio.Event().wait()

    world.gate.set()
    batcher = world.batcher(max_items=1, publish=silent_broker, in_flight=2)
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(offset) for offset in range(4)])
    await world.until(lambda: world.published == [0, 1])
    for _ in range(100):
        await asyncio.sleep(0)
    assert world.windows == [[0], [1]]
    running.cancel()


async def test_a_release_has_a_commit_that_does_not_end_end(world: World) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def silent(positions: Mapping[TP, int]) -> bool:
        begun.set()
        try:
            return await asyncio.Event().wait()
        finally:
            ended.set()

    world.gate.set()
    batcher = world.batcher(max_items=1)
    batcher._commit = silent
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await begun.wait()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.batcher.LAST_COMMIT_PATIENCE", 0.0)
        await batcher.release(patience=0)
    async with asyncio.timeout(DEADLINE):
        await ended.wait()
    running.cancel()


async def test_scans_one_window_at_a_time_while_the_next_fills(world: World) -> None:
    batcher = world.batcher(max_items=2)
    batcher.put([arrival(0), arrival(1)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.windows) == 1)
    batcher.put([arrival(2), arrival(3), arrival(4)])
    assert world.wanted[-1] is True
    batcher.put([arrival(5)])
    assert world.wanted[-1] is False, "as many wait behind the open window as it takes"
    assert world.windows == [[0, 1]]
    world.gate.set()
    await world.until(lambda: {PARTITION: 6} in world.committed)
    running.cancel()
    assert world.wanted[-1] is True


async def test_commits_nothing_before_its_decisions_are_acknowledged(world: World) -> None:
    acknowledged = asyncio.Event()

    async def slow_broker(records: Sequence[OutgoingRecord]) -> None:
        await world._publish(records)
        await acknowledged.wait()

    world.gate.set()
    batcher = world.batcher(max_items=1, publish=slow_broker)
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: world.published == [0])
    assert world.committed == []
    acknowledged.set()
    await world.until(lambda: world.committed == [{PARTITION: 1}])
    running.cancel()


async def test_sends_again_what_the_broker_did_not_acknowledge(world: World) -> None:
    failures = [TransientError("timed out")]

    async def flaky_broker(records: Sequence[OutgoingRecord]) -> None:
        assert world.committed == []
        await world._publish(records)
        if failures:
            raise failures.pop()

    world.gate.set()
    batcher = world.batcher(max_items=1, publish=flaky_broker)
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.committed) == 1)
    running.cancel()
    assert world.published == [0, 0]


async def test_a_release_lets_the_window_in_flight_finish_and_drops_the_rest(world: World) -> None:
    batcher = world.batcher(max_items=2)
    batcher.put([arrival(0), arrival(1)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.windows) == 1)
    batcher.put([arrival(2)])
    world.gate.set()
    await batcher.release(DEADLINE)
    running.cancel()
    assert world.committed == [{PARTITION: 2}]
    assert world.windows == [[0, 1]]
    assert batcher.idle


async def test_a_window_that_outlives_its_release_emits_and_commits_nothing(world: World) -> None:
    batcher = world.batcher(max_items=1)
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.windows) == 1)
    await batcher.release(patience=0)
    world.gate.set()
    world.generation = 2
    batcher.put([arrival(0, generation=2)])
    await world.until(lambda: len(world.committed) == 1)
    running.cancel()
    assert world.windows == [[0], [0]]
    assert world.published == [0]


async def test_drops_arrivals_of_an_older_generation(world: World) -> None:
    world.gate.set()
    world.generation = 2
    batcher = world.batcher(max_items=1)
    batcher.put([arrival(0, generation=1)])
    assert batcher.idle


async def test_emits_nothing_when_the_generation_changes_during_the_scan(world: World) -> None:
    batcher = world.batcher(max_items=1)
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.windows) == 1)
    world.generation = 2
    world.gate.set()
    batcher.put([arrival(1, generation=2)])
    await world.until(lambda: world.published == [1])
    running.cancel()
    assert world.committed == []


async def test_an_unknown_failure_ends_the_run(world: World) -> None:
    async def broken(_: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        raise StopError("broken")

    batcher = world.batcher(max_items=1)
    batcher._decide = broken
    batcher.put([arrival(0)])
    with pytest.raises(StopError, match="broken"):
        async with asyncio.timeout(DEADLINE):
            await batcher.run()
    assert world.committed == []


async def test_takes_nothing_more_of_a_generation_that_was_released(world: World) -> None:
    # At a shutdown records go on coming while another media type still drains.
    world.gate.set()
    batcher = world.batcher(max_items=2)
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(0)])
    await batcher.release(patience=0)
    batcher.put([arrival(1), arrival(2)])
    assert batcher.idle
    world.generation = 2
    batcher.put([arrival(0, generation=2), arrival(1, generation=2)])
    await world.until(lambda: len(world.committed) == 1)
    running.cancel()
    assert world.windows == [[0, 1]]
    assert world.committed == [{PARTITION: 2}]


async def test_takes_nothing_while_a_window_finishes_for_a_release(world: World) -> None:
    batcher = world.batcher(max_items=1)
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(0)])
    await world.until(lambda: len(world.windows) == 1)
    releasing = asyncio.create_task(batcher.release(DEADLINE))
    await asyncio.sleep(0)
    batcher.put([arrival(1)])
    world.gate.set()
    await releasing
    running.cancel()
    assert world.windows == [[0]]
    assert world.committed == [{PARTITION: 1}]
    assert batcher.idle


async def test_the_late_end_of_a_release_leaves_the_next_generation_alone(world: World) -> None:
    async def slow_to_cancel(arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        try:
            return await world._decide(arrivals)
        finally:
            await world.gate.wait()

    batcher = world.batcher(max_items=1)
    batcher._decide = slow_to_cancel
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(0)])
    await world.until(lambda: len(world.windows) == 1)
    shutdown = asyncio.create_task(batcher.release(DEADLINE))
    await asyncio.sleep(0)
    await batcher.release(patience=0)
    world.generation = 2
    batcher.put([arrival(0, generation=2)])
    world.gate.set()
    await shutdown
    batcher.put([arrival(1, generation=2)])
    await world.until(lambda: {PARTITION: 2} in world.committed)
    running.cancel()
    assert world.published == [0, 1]


async def test_a_release_waits_for_no_window_that_is_paused(world: World) -> None:
    batcher = world.batcher(max_items=1)
    paused = False
    batcher._paused = lambda: paused
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.windows) == 1)
    releasing = asyncio.create_task(batcher.release(patience=3600))
    await asyncio.sleep(0)
    assert not releasing.done()
    paused = True
    async with asyncio.timeout(DEADLINE):
        await releasing
    world.gate.set()
    running.cancel()
    assert world.published == []
    assert world.committed == []


async def test_windows_and_the_steps_within_them_are_progress(world: World) -> None:
    async def decide(arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        step_ended()
        return await world._decide(arrivals)

    batcher = world.batcher(max_items=1)
    batcher._decide = decide
    batcher.put([arrival(0)])
    running = asyncio.create_task(batcher.run())
    await world.until(lambda: len(world.windows) == 1)
    assert batcher.progress == 1
    world.gate.set()
    await batcher.release(DEADLINE)
    running.cancel()
    assert world.committed == [{PARTITION: 1}]
    assert batcher.progress == 2


async def test_sends_nothing_again_of_what_was_released(world: World) -> None:
    generations: list[int] = []
    acknowledged = asyncio.Event()

    async def fails_when_cancelled(records: Sequence[OutgoingRecord]) -> None:
        generations.append(world.generation)
        await world._note()
        try:
            await acknowledged.wait()
        except asyncio.CancelledError as error:
            raise TransientError("cancelled") from error

    world.gate.set()
    batcher = world.batcher(max_items=1, publish=fails_when_cancelled)
    running = asyncio.create_task(batcher.run())
    batcher.put([arrival(0)])
    await world.until(lambda: generations == [1])
    await batcher.release(patience=0)
    world.generation = 2
    batcher.put([arrival(0, generation=2)])
    acknowledged.set()
    await world.until(lambda: len(world.committed) == 1)
    running.cancel()
    assert generations == [1, 2]


async def test_it_says_how_full_and_how_old_the_open_window_is() -> None:
    now = 100.0
    batcher = World().batcher(max_items=3, max_wait=1000, clock=lambda: now)
    assert (batcher.open_items, batcher.open_age) == (0, 0)
    batcher.put([arrival(0)])
    now = 107.0
    batcher.put([arrival(1)])
    assert (batcher.open_items, batcher.open_age) == (2, 7)
    batcher.put([arrival(2), arrival(3)])
    assert batcher.open_items == 3, "the fourth is of the next window"
    await batcher.release(0)
    assert (batcher.open_items, batcher.open_age) == (0, 0)
