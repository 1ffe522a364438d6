"""A run of a replay: what it would do, counted, and its copies published; it can be gone on with."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from pydantic import TypeAdapter

from mediagate import operator_actions
from mediagate.database import meanings
from mediagate.errors import ConfigurationError
from mediagate.offsets import shown
from mediagate.operator_actions import Action, OperatorAction
from mediagate.publisher import Publisher
from mediagate.replay import Selection, Span, Tally
from mediagate.replay.choice import Choice, Chooser, Chosen
from mediagate.replay.copies import as_record, copy_of
from mediagate.replay.jobs import QUERIES, Jobs
from mediagate.replay.log import Log

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

SELECTION = TypeAdapter(Selection)
PARTS_A_SECOND = 10
AHEAD = 2
"""Batches that PostgreSQL and S3 are asked about while others are decoded, counted or published."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay: all that was selected, and how far earlier runs came, by partition as `--topic` takes it."""

    id: UUID
    whole: Selection
    reached: Mapping[str, int] = field(default_factory=dict)
    published: int = 0

    @property
    def selection(self) -> Selection:
        """What is left of it."""
        return self.whole.left(self.reached, self.published)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was made of some records of a partition; `next` is the offset after them."""

    partition: TopicPartition
    choice: Choice
    next: int
    read: int


async def batches(log: Log, chooser: Chooser, selection: Selection) -> AsyncGenerator[Batch, None]:
    """The whole selection, partition by partition, always in the same order."""
    left = selection.limit
    for span in selection.spans:
        before = span.first
        async with aclosing(_choices(log, chooser, span)) as found:
            async for choice, position in found:
                if left is not None:
                    choice.chosen = choice.chosen[:left]
                    left -= len(choice.chosen)
                yield Batch(span.partition, choice, position, position - before)
                before = position
                if left == 0:
                    return


async def _choices(log: Log, chooser: Chooser, span: Span) -> AsyncGenerator[tuple[Choice, int], None]:
    """What is made of a span's records, and the offset after them; some of it is made ahead."""
    under_way: deque[tuple[asyncio.Task[Choice], int]] = deque()
    try:
        async with aclosing(log.read(span)) as read:
            async for records, position in read:
                under_way.append((asyncio.create_task(chooser.choose(records)), position))
                if len(under_way) > AHEAD:
                    choice, end = under_way.popleft()
                    yield await choice, end
        while under_way:
            choice, end = under_way.popleft()
            yield await choice, end
    finally:
        for choice, _ in under_way:
            choice.cancel()
        await asyncio.gather(*(choice for choice, _ in under_way), return_exceptions=True)


async def count(
    found: AsyncIterator[Batch], jobs: Jobs, scanners: Collection[str], advance: Advance, stop: asyncio.Event
) -> Tally:
    """What carrying it out would do; what there is so far where it was stopped."""
    tally = Tally()
    versions = await jobs.newest_versions(scanners)
    async for batch in found:
        await _count(tally, batch, jobs, versions)
        advance(batch.read)
        if stop.is_set():
            break
    return tally


async def _count(tally: Tally, batch: Batch, jobs: Jobs, versions: Mapping[str, str]) -> None:
    for record, reason in batch.choice.left_out:
        tally.leave_out(batch.partition, record.offset, reason)
    chosen = batch.choice.chosen
    tally.selected[batch.partition] += len(chosen)
    judged = await jobs.judged(
        {each.event.data.sha256 for each in chosen if each.verified and not each.settled}, versions
    )
    for each in chosen:
        known = each.verified and each.event.data.sha256 in judged
        effect = tally.settled if each.settled else tally.known if known else tally.scans
        tally.states[each.state] += 1
        effect[each.state] += 1


class Record:
    """The row of a run in operator_actions: who wanted what, and how far it came."""

    def __init__(self, database: "Pool", row: int, replay: Replay) -> None:
        self._database = database
        self._row = row
        self._reached = dict(replay.reached)
        self.published = replay.published
        """Copies that Kafka has acknowledged, of earlier runs too."""

    @classmethod
    async def begin(
        cls, database: "Pool", replay: Replay, operator: str, events: int, now: datetime
    ) -> "Record":
        """Writes down what is about to be published."""
        details = {
            "selection": SELECTION.dump_python(replay.whole, mode="json"),
            "events": events,
            "reached": replay.reached,
            "published": replay.published,
        }
        with meanings():
            row = await operator_actions.record(
                database, OperatorAction(now, operator, Action.REPLAY, str(replay.id), details)
            )
        return cls(database, row, replay)

    async def reach(self, partition: TopicPartition, position: int, published: int = 0) -> None:
        """Notes that Kafka has all copies of what lies before a position."""
        self._reached[shown(partition)] = position
        self.published += published
        await self._write(reached=self._reached, published=self.published)

    async def finish(self) -> None:
        """Notes that nothing is left."""
        await self._write(finished=True)

    async def _write(self, **details: object) -> None:
        with meanings():
            await operator_actions.add_details(self._database, self._row, details)


async def load(database: "Pool", replay_id: UUID) -> Replay:
    """An interrupted replay; raises ConfigurationError where there is none, or nothing is left of it."""
    with meanings():
        said = await QUERIES.last_run(database, action=Action.REPLAY, subject=str(replay_id))
    if said is None:
        raise ConfigurationError(f"--resume: there is no replay {replay_id}")
    if said.get("finished"):
        raise ConfigurationError(
            f"--resume: replay {replay_id} has ended: it published {said['published']:,} events"
        )
    whole = SELECTION.validate_python(said["selection"])
    return Replay(replay_id, whole, said["reached"], said["published"])


class Runner:
    """Publishes a replay's copies, at most `rate` a second, and notes how far it came after each part."""

    def __init__(
        self,
        replay_id: UUID,
        record: Record,
        publisher: Publisher,
        rate: int | None,
        stop: asyncio.Event,
        now: Callable[[], datetime],
    ) -> None:
        self._replay_id = replay_id
        self._record = record
        self._publisher = publisher
        self._rate = rate
        self._stop = stop
        self._now = now

    async def run(self, found: AsyncIterator[Batch], advance: Advance) -> bool:
        """Publishes everything; False where it was stopped before."""
        async for batch in found:
            parts = self._parts(batch.choice.chosen)
            for number, part in enumerate(parts, start=1):
                if self._stop.is_set():
                    return False
                end = batch.next if number == len(parts) else part[-1].record.offset + 1
                await self._publish(batch.partition, part, end)
                advance(len(part))
                await self._pause(len(part))
            if not parts:
                await self._record.reach(batch.partition, batch.next)
            if self._stop.is_set():
                return False
        await self._record.finish()
        return True

    def _parts(self, chosen: Sequence[Chosen]) -> Sequence[Sequence[Chosen]]:
        size = len(chosen) if self._rate is None else self._rate // PARTS_A_SECOND
        return [chosen[start : start + max(1, size)] for start in range(0, len(chosen), max(1, size))]

    async def _publish(self, partition: TopicPartition, part: Sequence[Chosen], end: int) -> None:
        now = self._now()
        copies = [(copy_of(each.event, self._replay_id, now, each.place), each.record) for each in part]
        await self._publisher.publish([as_record(*each) for each in copies])
        await self._record.reach(partition, end, len(part))

    async def _pause(self, sent: int) -> None:
        if self._rate is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(sent / self._rate):
                    await self._stop.wait()
