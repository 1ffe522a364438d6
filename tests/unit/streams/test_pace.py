"""How far ahead of the workers a sweep goes."""

import asyncio

import pytest

from streams.pace import LEAST, QUICK, Pace


class Workers:
    """Read all there is, as soon as they may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.get_to_it = True
        self.now = 0.0
        self.asked = 0

    async def read_up(self) -> bool:
        self.asked += 1
        await self.may.wait()
        return self.get_to_it

    def pace(self) -> Pace:
        return Pace(self.read_up, lambda: self.now)


async def next_step(workers: Workers, pace: Pace, seconds: float) -> int:
    """How many events were sent before the workers were asked for again, so long after the last step."""
    workers.now += seconds
    asked, sent = workers.asked, 0
    while workers.asked == asked:
        sent += LEAST
        assert await pace.sent(LEAST)
        await asyncio.sleep(0)  # has the question begin
    return sent


async def test_slow_workers_have_few_owed_events_before_live_ones() -> None:
    workers = Workers()
    async with workers.pace() as pace:
        assert [await next_step(workers, pace, QUICK) for _ in range(4)] == [LEAST] * 4


async def test_quick_workers_get_more_until_they_are_quick_no_longer() -> None:
    workers = Workers()
    async with workers.pace() as pace:
        grown = [await next_step(workers, pace, QUICK / 2) for _ in range(5)]
        shrunk = [await next_step(workers, pace, QUICK) for _ in range(5)]
    # The first step is known to be read, and how quickly, once the second is sent.
    assert grown == [each * LEAST for each in (1, 1, 2, 4, 8)]
    assert shrunk == [each * LEAST for each in (16, 8, 4, 2, 1)]


async def test_a_step_is_sent_while_the_one_before_is_read_and_no_other() -> None:
    workers = Workers()
    workers.may.clear()
    async with workers.pace() as pace:
        assert await pace.sent(LEAST)
        second = asyncio.create_task(pace.sent(LEAST))
        await asyncio.sleep(0)
        assert not second.done()
        workers.may.set()
        assert await second


async def test_what_is_less_than_a_step_asks_nobody() -> None:
    workers = Workers()
    async with workers.pace() as pace:
        assert await pace.sent(LEAST - 1)
        await asyncio.sleep(0)
    assert not workers.asked


async def test_workers_that_do_not_get_to_it_end_the_sweep() -> None:
    workers = Workers()
    workers.get_to_it = False
    async with workers.pace() as pace:
        assert await pace.sent(LEAST)
        assert not await pace.sent(LEAST)


async def test_a_question_that_fails_ends_the_sweep_with_its_error() -> None:
    async def read_up() -> bool:
        raise ConnectionError

    async with Pace(read_up, lambda: 0.0) as pace:
        assert await pace.sent(LEAST)
        with pytest.raises(ConnectionError):
            await pace.sent(LEAST)


async def test_a_sweep_that_ends_leaves_no_question_behind() -> None:
    workers = Workers()
    workers.may.clear()
    before = asyncio.all_tasks()
    async with workers.pace() as pace:
        assert await pace.sent(LEAST)
        await asyncio.sleep(0)
        assert workers.asked
    assert asyncio.all_tasks() == before
