"""Work that comes together is done together: what comes while a group is under way is the next group."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from mediagate.errors import TransientError

LARGEST_GROUP = 100
GROUPS_AT_ONCE = 1
MOST_WAITING = 5_000

Item = TypeVar("Item")
Result = TypeVar("Result")


class Grouped(Generic[Item, Result]):
    """Calls `work` with groups of items; it has a deadline, and a result for each or fails for all."""

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._under_way: set[asyncio.Task[Sequence[Result]]] = set()

    async def do(self, item: Item) -> Result:
        """The item's result; raises what its group's work did, TransientError where too much waits."""
        if len(self._waiting) >= MOST_WAITING:
            raise TransientError(f"{MOST_WAITING} wait already")
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        self._start()
        return await result

    def _start(self) -> None:
        if self._waiting and len(self._under_way) < GROUPS_AT_ONCE:
            group: list[tuple[Item, asyncio.Future[Result]]] = []
            task = asyncio.create_task(self._do(group))
            self._under_way.add(task)
            task.add_done_callback(partial(self._end, group))

    async def _do(self, group: list[tuple[Item, "asyncio.Future[Result]"]]) -> Sequence[Result]:
        """Takes what has come by the time it begins, but for those who have given up."""
        wanted = [(item, result) for item, result in self._waiting if not result.done()]
        group += wanted[:LARGEST_GROUP]
        self._waiting = wanted[LARGEST_GROUP:]
        return await self._work([item for item, _ in group]) if group else ()

    def _end(
        self, group: list[tuple[Item, "asyncio.Future[Result]"]], task: "asyncio.Task[Sequence[Result]]"
    ) -> None:
        self._under_way.discard(task)
        self._start()
        failure = None if task.cancelled() else task.exception()
        for number, (_, result) in enumerate(group):
            if result.done():
                continue
            if task.cancelled():
                result.cancel()
            elif failure is not None:
                result.set_exception(failure)
            else:
                result.set_result(task.result()[number])
