"""A worker of the model: a real batcher, and around it everything that may go wrong."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import cache
from typing import cast

from aiokafka.structs import ConsumerRecord
from faust.types import TP

from mediagate.errors import StopError, TransientError
from mediagate.events import Event, OutgoingRecord, UploadCompleted
from mediagate.media import MediaType
from streams.agents import QUEUED_CHUNKS
from streams.arrivals import Arrival
from streams.batcher import COMMIT_PATIENCE, Batcher
from streams.windows import WindowLimits
from tests.model.clocked_loop import ClockedLoop
from tests.model.group import Group, Place, Tenure
from tests.uploads import upload

MAX_CHUNK = 4
IN_FLIGHT = 3

Window = bytes
"""Its first record, as a value of ours says it."""


class Step(StrEnum):
    """What a batcher asks of the world for a window, in this order."""

    SCAN = auto()
    PUBLISH = auto()
    COMMIT = auto()


class Trouble(StrEnum):
    """How a step may go wrong."""

    SLOW = auto()  # answers only when told to
    DEAF = auto()  # the same, and cannot be cancelled
    PAUSED = auto()  # the same as slow, and the batcher is told that nobody knows for how long
    FAILS = auto()  # nothing is done
    DOWN = auto()  # FAILS until it is mended
    PARTIAL = auto()  # half of it is done, then it fails
    LOST = auto()  # it is done, but the reply is lost
    REFUSED = auto()  # the group is about to move on
    BROKEN = auto()  # the process must stop


TROUBLES: Mapping[Step, Sequence[Trouble]] = {
    Step.SCAN: (Trouble.SLOW, Trouble.DEAF, Trouble.PAUSED),
    Step.PUBLISH: (
        Trouble.SLOW,
        Trouble.DEAF,
        Trouble.FAILS,
        Trouble.DOWN,
        Trouble.PARTIAL,
        Trouble.LOST,
    ),
    Step.COMMIT: (Trouble.SLOW, Trouble.FAILS, Trouble.DOWN, Trouble.LOST, Trouble.REFUSED),
}
ANSWERS: Mapping[Step, Sequence[Trouble | None]] = {
    Step.SCAN: (None, Trouble.BROKEN),
    Step.PUBLISH: (None, Trouble.LOST, Trouble.BROKEN),
    Step.COMMIT: (None, Trouble.FAILS, Trouble.LOST, Trouble.REFUSED),
}


@dataclass(frozen=True)
class Chunk:
    """Records of one poll of one partition, and the tenure under which they were fetched."""

    tenure: int
    places: Sequence[Place]


@dataclass(frozen=True)
class Held:
    """What a batcher must be holding for a next window."""

    place: Place
    size: int
    since: float


class Worker:
    """One process: consumer, queue, batcher and producer. It is alive until it crashed or ended."""

    def __init__(
        self, group: Group, loop: ClockedLoop, limits: WindowLimits, troubles: Mapping[Step, deque[Trouble]]
    ) -> None:
        self._group = group
        self._loop = loop
        self._limits = limits
        self._troubles = troubles
        self.alive = True
        self.connected = True
        self.terminating = False
        self.refused = False
        self.tenures = [Tenure(generation=0, start={}, closing=True, over=True)]
        self.queue: deque[Chunk] = deque()
        self._positions: dict[TP, int] = {}
        self._held: list[Held] = []
        self._scanning = False
        self._emitting: dict[Window, bool] = {}
        """Windows that are decided and not emitted; whether one is being tried right now."""
        self._trying_since: dict[Step | Window, float] = {}
        self._patience_ended = False
        self._paused = False
        self._asked: list[tuple[Step, asyncio.Future[Trouble | None]]] = []
        self._releases: list[asyncio.Task[None]] = []
        self._wanted = True
        self.batcher = Batcher(
            MediaType.IMAGE,
            limits,
            expect=lambda arrivals: None,
            decide=self._decide,
            publish=self._publish,
            commit=self._commit,
            wants_more=self._note_demand,
            generation=lambda: self.tenure.generation,
            paused=lambda: self._paused,
            clock=loop.time,
            in_flight=IN_FLIGHT,
        )
        self._runner = loop.create_task(self.batcher.run())

    @property
    def tenure(self) -> Tenure:
        """The present tenure, or the last one."""
        return self.tenures[-1]

    @property
    def releasing(self) -> bool:
        """Whether a release is under way."""
        return any(not release.done() for release in self._releases)

    @property
    def waiting(self) -> list[Step]:
        """The steps that answer only when told to."""
        return [step for step, _ in self._asked]

    def assign(self, partitions: Sequence[TP]) -> None:
        """A new generation: reading goes on from what is committed."""
        self._positions = {tp: self._group.committed[tp] for tp in partitions}
        self.tenures.append(Tenure(self._group.generation, dict(self._positions)))
        self.refused = False
        self._held.clear()

    def fetch(self, limit: int) -> None:
        """One poll: a chunk of each partition, as far as there is demand and room."""
        for tp, position in self._positions.items():
            end = min(len(self._group.sizes[tp]), position + limit)
            if self._wanted and position < end and len(self.queue) < QUEUED_CHUNKS:
                places = [(tp, offset) for offset in range(position, end)]
                self.queue.append(Chunk(len(self.tenures) - 1, places))
                self._positions[tp] = end

    def hand_over(self) -> None:
        """The oldest chunk reaches the batcher."""
        chunk = self.queue.popleft()
        if self.tenures[chunk.tenure] is self.tenure and not self.tenure.closing:
            now = self._loop.time()
            self._held += [Held(place, self._size(place), now) for place in chunk.places]
        self.batcher.put([self._arrival(place, chunk.tenure) for place in chunk.places])

    def release(self, patience: float) -> None:
        """The partitions are to be let go of; takes time."""
        self.tenure.closing = True
        self._held.clear()
        self._releases.append(self._loop.create_task(self._release(self.tenure, patience)))

    def answer(self, number: int, answer: Trouble | None) -> None:
        """Tells one of the waiting steps what to answer."""
        _, told = self._asked[number]
        if not told.done():
            told.set_result(answer)

    def die(self) -> None:
        """Ends at once: nothing of it happens any more."""
        self.alive = False
        self._runner.cancel()
        for release in self._releases:
            release.cancel()
        for _, told in self._asked:  # whoever is deaf hears that
            told.cancel()

    def reap(self) -> None:
        """Dies of what ended the batcher, which must be a failure that the model made."""
        if not self.alive or not self._runner.done():
            return
        error = self._runner.exception()
        self._group.require(
            isinstance(error, StopError) or (isinstance(error, TransientError) and self._patience_ended),
            f"the batcher ended: {error!r}",
        )
        self.die()

    def check(self) -> None:
        """What must be so whenever nothing is ready to run."""
        require = self._group.require
        window = self._window_of([held.size for held in self._held])
        most = 2 * self._limits.max_items + (QUEUED_CHUNKS + 1) * MAX_CHUNK
        require(len(self._held) <= most, "more is held than backpressure allows")
        if not self.alive or self.tenure.closing:
            return
        waiting = len(self._held) - window
        require(
            self._wanted is (waiting < self._limits.max_items), f"wants more: {self._wanted}, {waiting} wait"
        )
        if self._held and not self._scanning and len(self._emitting) < IN_FLIGHT:
            age = self._loop.time() - self._held[0].since
            require(age < self._limits.max_wait, f"an item waits for {age} s")
            filling = window == len(self._held) < self._limits.max_items and self._has_bytes_left()
            require(filling, "a full window waits")

    async def _release(self, tenure: Tenure, patience: float) -> None:
        await self.batcher.release(patience)
        tenure.over = True
        if tenure is self.tenure:
            self._emitting = {window: trying for window, trying in self._emitting.items() if trying}
            self._trying_since.clear()

    async def _decide(self, arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        self._group.require(not self._scanning, "two windows are scanned at once")
        self._group.require(len(self._emitting) < IN_FLIGHT, "too many windows are in flight")
        self._check_window(arrivals)
        trouble = self._next_trouble(Step.SCAN, Step.SCAN)
        self._scanning, self._paused = True, trouble is Trouble.PAUSED
        try:
            await self._meet(Step.SCAN, trouble)
        finally:
            self._scanning = self._paused = False
            self._trying_since.pop(Step.SCAN, None)
        if not self.tenures[arrivals[0].record.timestamp].over:
            self._emitting[_value(arrivals[0])] = False
        return [OutgoingRecord("decisions", None, _value(arrival), ()) for arrival in arrivals]

    async def _publish(self, records: Sequence[OutgoingRecord]) -> None:
        numbers = [tuple(map(int, (record.value or b"").split())) for record in records]
        tenure = self.tenures[numbers[0][0]]
        self._group.require(tenure is self.tenure and not tenure.over, "emitted what was released")
        places = [(_partition(self._group, partition), offset) for _, partition, offset in numbers]
        window = records[0].value or b""
        trouble = self._next_trouble(Step.PUBLISH, window)
        self._emitting[window] = True
        try:
            await self._emit(window, tenure, places, trouble)
        except TransientError:
            self._emitting[window] = False
            raise
        except BaseException:
            del self._emitting[window]
            raise
        del self._emitting[window]
        self._trying_since.pop(window, None)

    async def _emit(
        self, window: Window, tenure: Tenure, places: Sequence[Place], trouble: Trouble | None
    ) -> None:
        if trouble in (Trouble.FAILS, Trouble.DOWN):
            raise self._away(window)
        stored = places[len(places) // 2 :] if trouble is Trouble.PARTIAL else places
        self._group.write(tenure, stored)
        if await self._meet(Step.PUBLISH, trouble) is not None:
            tenure.lost.update(stored)
            raise self._away(window)
        self._group.acknowledge(tenure, places)

    async def _commit(self, positions: Mapping[TP, int]) -> bool:
        tenure = self.tenure
        self._check_positions(positions)
        trouble = self._next_trouble(Step.COMMIT, Step.COMMIT)
        try:
            trouble = await self._meet(Step.COMMIT, trouble)
        except asyncio.CancelledError:
            # A request that is under way is not called back.
            if self.alive:
                self._group.commit(tenure.generation, positions)
            raise
        if trouble in (Trouble.FAILS, Trouble.DOWN):
            raise self._away(Step.COMMIT)
        committed = trouble is not Trouble.REFUSED and self._group.commit(tenure.generation, positions)
        if trouble is Trouble.LOST:
            raise self._away(Step.COMMIT)
        self.refused = self.refused or not committed
        self._trying_since.pop(Step.COMMIT, None)
        return committed

    def _check_window(self, arrivals: Sequence[Arrival]) -> None:
        require = self._group.require
        numbers = {arrival.record.timestamp for arrival in arrivals}
        tenure = self.tenures[min(numbers)]
        places = [(arrival.tp, arrival.record.offset) for arrival in arrivals]
        require(len(numbers) == 1, "a window mixes generations")
        require(tenure is self.tenure and not tenure.over, "scanned what was released")
        require(tenure.scanned.isdisjoint(places), "scanned twice")
        tenure.scanned.update(places)
        require(
            self._window_of([arrival.size for arrival in arrivals]) == len(arrivals), "too large a window"
        )
        if not tenure.closing:
            taken, self._held = self._held[: len(places)], self._held[len(places) :]
            require([held.place for held in taken] == places, "not in the order of arrival")
            require(not taken or self._is_due(taken), f"a window of {len(taken)} closed too early")

    def _check_positions(self, positions: Mapping[TP, int]) -> None:
        tenure = self.tenure
        self._group.require(not tenure.over, "committed what was released")
        for tp, position in positions.items():
            first = tenure.start.get(tp, position + 1)
            decided = all((tp, offset) in tenure.acknowledged for offset in range(first, position))
            self._group.require(first < position and decided, f"{tp.partition}: {position} is not settled")

    def _is_due(self, taken: Sequence[Held]) -> bool:
        if len(taken) == self._limits.max_items:
            return True
        sizes = [held.size for held in (*taken, *self._held[:1])]
        by_bytes = self._limits.max_bytes is not None and (
            sum(sizes[: len(taken)]) >= self._limits.max_bytes or self._window_of(sizes) < len(sizes)
        )
        return by_bytes or self._loop.time() >= taken[0].since + self._limits.max_wait

    def _window_of(self, sizes: Sequence[int]) -> int:
        """How many of the items one window takes."""
        for number in range(1, len(sizes)):
            within = self._limits.max_bytes is None or sum(sizes[: number + 1]) <= self._limits.max_bytes
            if number == self._limits.max_items or not within:
                return number
        return len(sizes)

    def _has_bytes_left(self) -> bool:
        limit = self._limits.max_bytes
        return limit is None or not self._held or sum(held.size for held in self._held) < limit

    def _next_trouble(self, step: Step, work: Step | Window) -> Trouble | None:
        self._trying_since.setdefault(work, self._loop.time())
        troubles = self._troubles[step]
        if not troubles or troubles[0] is Trouble.DOWN:
            return troubles[0] if troubles else None
        return troubles.popleft()

    async def _meet(self, step: Step, trouble: Trouble | None) -> Trouble | None:
        if trouble in (Trouble.SLOW, Trouble.DEAF, Trouble.PAUSED):
            trouble = await self._told(step, deaf=trouble is Trouble.DEAF)
        if trouble is Trouble.BROKEN:
            raise StopError("broken")
        return trouble

    async def _told(self, step: Step, *, deaf: bool) -> Trouble | None:
        answer: asyncio.Future[Trouble | None] = self._loop.create_future()
        asked = step, answer
        self._asked.append(asked)
        try:
            while True:
                try:
                    return await asyncio.shield(answer)
                except asyncio.CancelledError:
                    if not deaf or not self.alive:
                        raise
        finally:
            self._asked.remove(asked)

    def _away(self, work: Step | Window) -> TransientError:
        # A release forgets what is tried, and the batcher may have ended before.
        tried_for = self._loop.time() - self._trying_since.get(work, self._loop.time())
        self._patience_ended = self._patience_ended or tried_for >= COMMIT_PATIENCE
        return TransientError("away")

    def _note_demand(self, wanted: bool) -> None:
        self._wanted = wanted

    def _size(self, place: Place) -> int:
        tp, offset = place
        return self._group.sizes[tp][offset]

    def _arrival(self, place: Place, tenure: int) -> Arrival:
        tp, offset = place
        record = ConsumerRecord(tp.topic, tp.partition, offset, tenure, 0, None, None, 0, 0, 0, ())
        generation = self.tenures[tenure].generation
        return Arrival(tp, cast(ConsumerRecord, record), generation, _event(self._size(place)), None)


@cache
def _event(size: int) -> Event[UploadCompleted]:
    event = upload()
    return event._replace(data=event.data.model_copy(update={"size": size}))


def _value(arrival: Arrival) -> bytes:
    return f"{arrival.record.timestamp} {arrival.tp.partition} {arrival.record.offset}".encode()


def _partition(group: Group, number: int) -> TP:
    return next(tp for tp in group.sizes if tp.partition == number)
