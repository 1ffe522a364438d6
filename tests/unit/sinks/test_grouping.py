"""Calls that come while one is under way go together; what is one's own fault is nobody else's."""

import asyncio
from collections.abc import Sequence

import pytest

from sinks.grouping import MOST, Grouped


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
