"""Calls of one that go together, as a call of many, where an earlier call is still under way."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from mediagate.errors import TransientError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

MOST = 100
MOST_WAITING = 5_000


class Grouped(Generic[Argument, Result]):
    """Takes one argument, waits for its `turn`, and makes one call for all who came meanwhile.

    `call` gives a result or an exception for each; where it raises one of `apart`, each is called for alone.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Argument]], Awaitable[Sequence[Result | Exception]]],
        turn: asyncio.Lock,
        apart: tuple[type[Exception], ...] = (),
    ) -> None:
        self._call = call
        self._turn = turn
        self._apart = apart
        self._waiting: deque[tuple[Argument, asyncio.Future[Result]]] = deque()
        self._calling: asyncio.Task[None] | None = None

    async def __call__(self, argument: Argument) -> Result:
        """The argument's own result; raises its own exception, that of the call, or that too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            raise TransientError(f"{MOST_WAITING} wait already")
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((argument, answer))
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_for_all())
        return await answer

    async def _call_for_all(self) -> None:
        try:
            while self._waiting:
                async with self._turn:
                    await self._answer(self._next())
        finally:
            self._calling = None

    def _next(self) -> list[tuple[Argument, "asyncio.Future[Result]"]]:
        group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        return [(argument, answer) for argument, answer in group if not answer.done()]

    async def _answer(self, group: Sequence[tuple[Argument, "asyncio.Future[Result]"]]) -> None:
        if not group:
            return
        results: Sequence[Result | Exception]
        try:
            results = await self._call([argument for argument, _ in group])
        except self._apart as error:
            if len(group) > 1:
                for each in group:
                    await self._answer([each])
                return
            results = [error]
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
            results = [error] * len(group)
        for (_, answer), result in zip(group, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
