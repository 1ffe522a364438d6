"""What comes together is done together, and everyone gets an answer of their own."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.groups import LARGEST_GROUP, MOST_WAITING, Grouped
from mediagate.errors import TransientError


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
    return [asyncio.create_task(grouped.do(item)) for item in items]


async def turn() -> None:
    """Lets everything that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_at_once_is_one_group_and_what_comes_meanwhile_the_next() -> None:
    work = Work()
    grouped = Grouped(work)
    first = asked(grouped, range(3))
    await work.begun.wait()
    second = asked(grouped, range(3, 8))
    await turn()
    assert work.groups == [[0, 1, 2]]

    work.may_end.set()

    assert await asyncio.gather(*first, *second) == [2 * item for item in range(8)]
    assert work.groups == [[0, 1, 2], [3, 4, 5, 6, 7]]


async def test_a_lone_item_waits_for_nobody() -> None:
    work = Work()
    work.may_end.set()
    grouped = Grouped(work)
    assert [await grouped.do(1), await grouped.do(2)] == [2, 4]
    assert work.groups == [[1], [2]]


async def test_a_group_has_a_bound() -> None:
    work = Work()
    work.may_end.set()
    await asyncio.gather(*asked(Grouped(work), range(LARGEST_GROUP + 1)))
    assert [len(group) for group in work.groups] == [LARGEST_GROUP, 1]


async def test_what_waits_has_a_bound() -> None:
    work = Work()
    grouped = Grouped(work)
    tasks = asked(grouped, range(1))
    await work.begun.wait()
    tasks += asked(grouped, range(MOST_WAITING))
    await turn()

    with pytest.raises(TransientError):
        await grouped.do(0)

    work.may_end.set()
    assert len(await asyncio.gather(*tasks)) == MOST_WAITING + 1


async def test_a_failure_is_that_of_the_whole_group_and_of_no_other() -> None:
    work = Work()
    grouped = Grouped(work)
    work.failure = TransientError("away")
    work.may_end.set()
    outcomes = await asyncio.gather(*asked(grouped, range(2)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [TransientError] * 2

    work.failure = None
    assert await grouped.do(1) == 2


async def test_who_gives_up_neither_stops_the_group_nor_is_written_later() -> None:
    work = Work()
    grouped = Grouped(work)
    first = asked(grouped, range(2))
    await work.begun.wait()
    waiting = asked(grouped, range(2, 4))
    await turn()
    first[0].cancel()
    waiting[0].cancel()
    await turn()

    work.may_end.set()

    assert [await first[1], await waiting[1]] == [2, 6]
    assert work.groups == [[0, 1], [3]]
