"""Several at once, acknowledged in order, nothing of a partition that was let go."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import StopError
from sinks.dispatcher import UNACKNOWLEDGED, Dispatcher

PATIENCE = 5.0


@dataclass
class Message:
    tp: int
    offset: int
    generation_id: int = 1


@dataclass
class Event:
    message: Message
    acked: list[tuple[int, int]]

    def ack(self) -> None:
        self.acked.append((self.message.tp, self.message.offset))


@dataclass
class Bench:
    """A dispatcher whose handler waits until the test lets each record end."""

    concurrency: int = 4
    generation: int = 1
    acked: list[tuple[int, int]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    gates: dict[int, asyncio.Future[None]] = field(default_factory=dict)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._running = 0
        self.dispatcher = Dispatcher(
            self._handle,
            concurrency=self.concurrency,
            generation=lambda: self.generation,
            fail=self.failures.append,
        )
        self.dispatcher.open()

    def event(self, offset: int, tp: int = 0, generation: int = 1) -> Event:
        self.gates[offset] = asyncio.get_running_loop().create_future()
        return Event(Message(tp, offset, generation), self.acked)

    async def put(self, *offsets: int) -> None:
        for offset in offsets:
            await self.dispatcher.put(self.event(offset))
        await settled()

    async def end(self, *offsets: int) -> None:
        for offset in offsets:
            self.gates[offset].set_result(None)
            await settled()

    async def _handle(self, message: Message) -> None:
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            await self.gates[message.offset]
        finally:
            self._running -= 1


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_acknowledges_in_the_order_of_arrival() -> None:
    bench = Bench()
    await bench.put(10, 11, 12)

    await bench.end(12, 11)
    assert bench.acked == []
    await bench.end(10)

    assert bench.acked == [(0, 10), (0, 11), (0, 12)]


@given(order=st.permutations(range(12)))
def test_acknowledges_everything_once_whatever_ends_first(order: list[int]) -> None:
    async def run() -> None:
        bench = Bench(concurrency=12)
        await bench.put(*range(12))
        for ended, offset in enumerate(order, start=1):
            await bench.end(offset)
            done = set(order[:ended])
            prefix = next((n for n in range(12) if n not in done), 12)
            assert bench.acked == [(0, n) for n in range(prefix)]

    asyncio.run(run())


async def test_never_works_on_more_than_the_limit() -> None:
    bench = Bench(concurrency=2)
    putting = asyncio.create_task(bench.put(1, 2, 3, 4))
    await settled()
    assert not putting.done()

    await bench.end(2, 1, 3, 4)
    await putting

    assert bench.most_at_once == 2
    assert bench.acked == [(0, 1), (0, 2), (0, 3), (0, 4)]


async def test_takes_no_more_than_a_bound_behind_a_slow_one() -> None:
    bench = Bench(concurrency=UNACKNOWLEDGED + 10)
    await bench.put(*range(UNACKNOWLEDGED))
    await bench.end(*range(1, UNACKNOWLEDGED))
    putting = asyncio.create_task(bench.put(UNACKNOWLEDGED))
    await settled()
    assert not putting.done()

    await bench.end(0)
    await putting

    assert len(bench.acked) == UNACKNOWLEDGED


async def test_a_failure_is_told_and_nothing_from_it_on_is_acknowledged() -> None:
    bench = Bench()
    await bench.put(1, 2, 3)
    error = StopError("no")

    await bench.end(1)
    bench.gates[2].set_exception(error)
    await bench.end(3)

    assert bench.failures == [error]
    assert bench.acked == [(0, 1)]


async def test_what_is_under_way_may_end_before_partitions_are_released() -> None:
    bench = Bench()
    await bench.put(1, 2)
    releasing = asyncio.create_task(bench.dispatcher.release(PATIENCE))
    await settled()

    await bench.end(2, 1)
    await releasing

    assert bench.acked == [(0, 1), (0, 2)]
    assert bench.failures == []


async def test_what_does_not_end_is_dropped_unacknowledged() -> None:
    bench = Bench()
    await bench.put(1, 2)
    await bench.end(2)

    await bench.dispatcher.release(0)

    assert bench.gates[1].cancelled()
    assert bench.acked == []
    assert bench.failures == []


async def test_takes_nothing_between_two_assignments() -> None:
    bench = Bench()
    await bench.dispatcher.release(0)

    await bench.put(1)
    assert bench.most_at_once == 0
    bench.dispatcher.open()
    await bench.put(2)
    await bench.end(2)

    assert bench.acked == [(0, 2)]


async def test_drops_an_event_of_an_older_generation() -> None:
    bench = Bench(generation=2)

    await bench.dispatcher.put(bench.event(1, generation=1))
    await settled()

    assert bench.most_at_once == 0


async def test_does_not_acknowledge_in_a_generation_that_did_not_read_it() -> None:
    bench = Bench()
    await bench.put(1)
    bench.generation = 2

    await bench.end(1)

    assert bench.acked == []


async def test_released_work_gives_its_room_back() -> None:
    bench = Bench(concurrency=2)
    for number in range(3):
        await bench.put(number * 2, number * 2 + 1)
        await bench.dispatcher.release(0)
        bench.dispatcher.open()

    await bench.put(100, 101)
    await bench.end(100, 101)

    assert bench.acked == [(0, 100), (0, 101)]
