"""Finding dead letters, sending them back and discarding them, some at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mediagate.dead_letter_queue import Filters, Letter, State
from mediagate.dead_letter_queue.log import DeadLetterLog
from mediagate.dead_letter_queue.marks import Mark, Marks
from mediagate.events import OutgoingRecord

BATCH = 100
"""Most letters that are sent and marked together: so many are sent twice after a crash."""

Act = Callable[[Sequence[Letter]], Awaitable[None]]
Deliver = Callable[[Sequence[OutgoingRecord]], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Found:
    """A letter, and what an operator made of it."""

    letter: Letter
    mark: Mark | None

    @property
    def state(self) -> State:
        """What became of it."""
        return self.mark.state if self.mark else State.OPEN


async def found(log: DeadLetterLog, marks: Marks, filters: Filters) -> AsyncIterator[Found]:
    """The letters that are meant, in any state, partition by partition in their order."""
    async for letters in log.read(filters.since):
        meant = [letter for letter in letters if filters.fit(letter)]
        known = await marks.latest(meant) if meant else {}
        for letter in meant:
            yield Found(letter, known.get(letter.position))


def redriving(marks: Marks, deliver: Deliver) -> Act:
    """Sends letters to the topics that they came from."""

    # A crash in between leaves a row that says so, and letters that are open still: sent twice, never lost.
    async def act(letters: Sequence[Letter]) -> None:
        ids = await marks.begin_redrive(letters)
        targets = await deliver([letter.restored(letter.origin_topic) for letter in letters])
        await marks.end_redrive(ids, targets)

    return act


async def work_off(
    letters: AsyncIterator[Letter],
    act: Act,
    rate: int | None,
    stop: asyncio.Event,
    told: Callable[[int], None],
) -> int:
    """Acts on letters, at most `rate` a second, until `stop` is set; the number of those that are done."""
    done = 0
    async for batch in _batches(letters, min(BATCH, rate or BATCH)):
        if stop.is_set():
            break
        await act(batch)
        done += len(batch)
        told(len(batch))
        if rate is not None:
            await _until(stop, len(batch) / rate)
    return done


async def _batches(letters: AsyncIterator[Letter], size: int) -> AsyncIterator[Sequence[Letter]]:
    batch: list[Letter] = []
    async for letter in letters:
        batch.append(letter)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
