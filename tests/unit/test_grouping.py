"""Calls that come while one is under way go together; what is one's own fault is nobody else's."""

import asyncio
from collections.abc import Sequence

import pytest

from mediagate.errors import TransientError
from mediagate.grouping import MOST, MOST_WAITING, Grouped

PATIENCE = 5.0


class Bench:
    """Doubles numbers, and remembers its calls; 13 has the whole call fail, 7 has an exception of its own."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.turn = asyncio.Lock()
        self.doubled = Grouped(self._double, self.turn, (ValueError,))

    async def _double(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.calls.append(list(numbers))
        await asyncio.sleep(0)
        if 13 in numbers:
            raise ValueError("13")
        if 17 in numbers:
            raise OSError("17")
        return [KeyError(number) if number == 7 else 2 * number for number in numbers]

    async def many(self, *numbers: int) -> list[int | BaseException]:
        return await asyncio.gather(*map(self.doubled, numbers), return_exceptions=True)


async def test_who_comes_while_it_is_no_ones_turn_goes_together() -> None:
    bench = Bench()
    assert await bench.many(1, 2, 3) == [2, 4, 6]
    assert bench.calls == [[1, 2, 3]]


async def test_one_that_comes_alone_waits_for_nobody() -> None:
    bench = Bench()
    assert [await bench.doubled(1), await bench.doubled(2)] == [2, 4]
    assert bench.calls == [[1], [2]]


async def test_no_call_is_larger_than_the_bound() -> None:
    bench = Bench()
    numbers = range(100, 100 + 2 * MOST + 1)
    assert await bench.many(*numbers) == [2 * number for number in numbers]
    assert [len(call) for call in bench.calls] == [MOST, MOST, 1]


async def test_an_exception_of_ones_own_is_raised_there_alone() -> None:
    first, failed, last = await Bench().many(1, 7, 3)
    assert (first, last) == (2, 6)
    assert isinstance(failed, KeyError)


async def test_where_one_may_have_spoilt_the_call_each_is_tried_alone() -> None:
    bench = Bench()
    first, failed, last = await bench.many(1, 13, 3)
    assert (first, last) == (2, 6)
    assert isinstance(failed, ValueError)
    assert bench.calls == [[1, 13, 3], [1], [13], [3]]


async def test_where_the_call_fails_for_all_it_is_made_once() -> None:
    bench = Bench()
    assert all(isinstance(each, OSError) for each in await bench.many(1, 17, 3))
    assert bench.calls == [[1, 17, 3]]


async def test_what_was_given_up_before_its_turn_is_left_out() -> None:
    bench = Bench()
    async with bench.turn:
        first, second = (asyncio.create_task(bench.doubled(number)) for number in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert await second == 4
    assert bench.calls == [[2]]


class Work:
    """Doubles numbers once it may; remembers its groups."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.begun = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(items))
        self.begun.set()
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return [2 * item for item in items]


def asked(grouped: Grouped[int, int], items: range) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(grouped(item)) for item in items]


async def turn() -> None:
    """Lets everything that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


Tasks = list[asyncio.Task[int]]


async def asked_meanwhile(
    work: Work, grouped: Grouped[int, int], first: range, later: range
) -> tuple[Tasks, Tasks]:
    """Those whose group is under way, and those who came since."""
    under_way = asked(grouped, first)
    await work.begun.wait()
    waiting = asked(grouped, later)
    await turn()
    return under_way, waiting


async def test_what_comes_at_once_is_one_group_and_what_comes_meanwhile_the_next() -> None:
    work = Work()
    first, second = await asked_meanwhile(work, Grouped(work, asyncio.Lock()), range(3), range(3, 8))
    assert work.groups == [[0, 1, 2]]

    work.may_end.set()

    assert await asyncio.gather(*first, *second) == [2 * item for item in range(8)]
    assert work.groups == [[0, 1, 2], [3, 4, 5, 6, 7]]


async def test_what_waits_has_a_bound() -> None:
    work = Work()
    grouped = Grouped(work, asyncio.Lock())
    first, waiting = await asked_meanwhile(work, grouped, range(1), range(MOST_WAITING))

    with pytest.raises(TransientError):
        async with asyncio.timeout(PATIENCE):
            await grouped(0)

    work.may_end.set()
    assert len(await asyncio.gather(*first, *waiting)) == MOST_WAITING + 1


async def test_a_failure_is_that_of_the_whole_group_and_of_no_other() -> None:
    work = Work()
    grouped = Grouped(work, asyncio.Lock())
    work.failure = TransientError("away")
    work.may_end.set()
    outcomes = await asyncio.gather(*asked(grouped, range(2)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [TransientError] * 2

    work.failure = None
    assert await grouped(1) == 2


async def test_who_gives_up_neither_stops_the_group_nor_is_written_later() -> None:
    work = Work()
    first, waiting = await asked_meanwhile(work, Grouped(work, asyncio.Lock()), range(2), range(2, 4))
    first[0].cancel()
    waiting[0].cancel()
    await turn()

    work.may_end.set()

    assert [await first[1], await waiting[1]] == [2, 6]
    assert work.groups == [[0, 1], [3]]
