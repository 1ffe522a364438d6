"""What a poll hands on when a rebalance comes in between."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from workers.consumer import Fetched, RebalanceSafeConsumer

PARTITION = TP("topic", 0)


class Poll(RebalanceSafeConsumer):
    """A consumer without Kafka: the next poll finds what the test says."""

    should_stop = False
    flow_active = True

    def __init__(self, records: Any, generation: int) -> None:
        self.app: Any = SimpleNamespace(consumer_generation_id=generation)
        self.found = records
        self.seeks = 0
        self._read_offset = defaultdict(lambda: None)

    async def _wait_next_records(self, timeout: float) -> Any:
        return self.found, set()

    def _to_message(self, tp: TP, record: Any) -> Any:
        return record

    async def perform_seek(self) -> None:
        self.seeks += 1

    async def offsets(self) -> list[int]:
        return [message.offset async for _, message in self.getmany(1.0)]


def fetched(*offsets: int, generation: int = 2) -> Fetched:
    return Fetched({PARTITION: [SimpleNamespace(offset=offset) for offset in offsets]}, generation)


async def test_hands_on_what_was_read_under_the_present_assignment() -> None:
    assert await Poll(fetched(5, 6, 7), generation=2).offsets() == [5, 6, 7]


async def test_hands_on_nothing_of_an_older_assignment() -> None:
    assert await Poll(fetched(5, 6, generation=1), generation=2).offsets() == []


async def test_stops_where_a_rebalance_comes_in_between() -> None:
    poll = Poll(fetched(5, 6, 7), generation=2)
    seen = []
    async for _, message in poll.getmany(1.0):
        seen.append(message.offset)
        poll.app.consumer_generation_id = 3
    assert seen == [5]


async def test_sets_back_what_came_while_the_flow_was_stopped() -> None:
    poll = Poll(fetched(5), generation=2)
    poll.flow_active = False
    assert await poll.offsets() == []
    assert poll.seeks == 1


@pytest.mark.parametrize(("position", "unread"), [(None, [5, 6, 7]), (6, [6, 7]), (8, [])])
async def test_the_record_at_the_read_offset_is_still_unread(position: int | None, unread: list[int]) -> None:
    poll = Poll(fetched(5, 6, 7), generation=2)
    poll._read_offset[PARTITION] = position
    assert await poll.offsets() == unread


async def test_a_commit_takes_in_what_was_acked_while_another_one_was_under_way() -> None:
    poll = Poll(fetched(), generation=2)
    poll.app.client_only = False
    poll.loop = asyncio.get_running_loop()
    poll._commit_fut = None
    acked, gate, begun = [1], asyncio.Event(), asyncio.Event()
    committed: list[list[int]] = []

    async def force_commit(*_: Any, **__: Any) -> bool:
        offsets = list(acked)
        begun.set()
        await gate.wait()
        committed.append(offsets)
        return True

    poll.force_commit = force_commit
    first = asyncio.create_task(poll.commit())
    await begun.wait()
    acked.append(2)
    second = asyncio.create_task(poll.commit())
    await asyncio.sleep(0)
    gate.set()

    assert await first
    assert await second
    assert committed == [[1], [1, 2]]
