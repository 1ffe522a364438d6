"""A sweep of owed rows by a worker that decides on live uploads, too: its rate, and what they notice."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from benchmarks import rows
from benchmarks.machine import Usage, cores, running
from benchmarks.results import Measurement
from benchmarks.stream.broker import DEADLINE, LOOKED_AT_EVERY, Broker, Caused, completion
from benchmarks.stream.peers import PEERS
from benchmarks.topics import make_topics
from devstack.stack import Stack
from mediagate.events import encode
from mediagate.jobs import State
from mediagate.migrations import migrate
from mediagate.publisher import KafkaPublisher

LIVE = 200
"""Uploads a second."""
WARM, ALONE = 2.0, 8.0
"""Seconds of live uploads before any are measured, and before rows are owed."""
SWEPT_EVERY = "12"
"""Seconds."""
OLD = timedelta(minutes=5)
OURS = PEERS[0]

OWE = "update media_jobs set state = 'queued', queued_at = created_at where state = 'awaiting_upload'"
STILL_OWED = "select count(*) from media_jobs where event_published_at is null and created_at < $1"
SWEPT = "select event_published_at from media_jobs where created_at < $1 order by event_published_at"
MARK = "update media_jobs set event_published_at = $2 where media_id = $1 and event_published_at is null"


@dataclass(slots=True)
class Live:
    """Uploads that come while the worker runs: when each was completed, by its event's id."""

    publisher: KafkaPublisher
    pool: "rows.Pool"
    topic: str
    first: int
    started: dict[bytes, float] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Completes uploads at their rate until then, each as the gateway does: row, event, mark."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in count():
                if stop.is_set():
                    return
                await asyncio.sleep(max(0.0, begun + number / LIVE - time.monotonic()))
                tasks.create_task(self._complete(self.first + number))

    async def _complete(self, number: int) -> None:
        event = completion(number)
        self.started[event.id.encode()] = time.time()
        await rows.insert_completed(self.pool, number, datetime.now(UTC))
        await self.publisher.publish([encode(event, self.topic)])
        await self.pool.execute(MARK, event.data.media_id, datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Phase:
    """From when until when, by `time.time()`."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.start


class SweepBenchmark:
    """One broker and one table of rows, for all runs."""

    def __init__(self, stack: Stack, directory: Path, owed: int) -> None:
        self._environment = stack.endpoints().environment()
        self._servers = self._environment["KAFKA_BOOTSTRAP_SERVERS"]
        self._directory = directory
        self._owed = owed

    async def prepare(self) -> None:
        """Makes the tables."""
        await migrate(self._environment["DATABASE_URL"])

    async def run(self) -> list[Measurement]:
        """Live uploads alone, then beside a sweep; raises RuntimeError where one has not its one decision."""
        name = f"bench.{uuid4().hex[:8]}"
        uploads, decisions, log = f"{name}.uploads", f"{name}.decisions", self._directory / f"{name}.log"
        begun = datetime.now(UTC)
        async with (
            Broker(self._servers) as broker,
            KafkaPublisher(self._servers, "benchmark") as publisher,
            rows.opened(self._environment["DATABASE_URL"]) as pool,
        ):
            await broker.create(uploads, decisions)
            await rows.insert(pool, range(self._owed), State.AWAITING_UPLOAD, begun - OLD, attempts=0)
            live = Live(publisher, pool, uploads, self._owed)
            with tempfile.TemporaryDirectory() as scratch:
                named = {"upload_completed_image": uploads, "approved": f"{name}.decisions"}
                topics = await make_topics(self._servers, Path(scratch), name, named)
                environment = {
                    **self._environment,
                    **OURS.environment,
                    "RECOVERY": "yes",
                    "RECOVERY_INTERVAL": SWEPT_EVERY,
                    "STREAMS_GROUP": name,
                    "TOPICS_FILE": str(topics),
                }
                with running(OURS.prepare(), environment, cores()[0], log) as usage:
                    await broker.joined(name, 1)
                    async with self._coming(live):
                        alone = await self._swept(live, begun, usage)
                        # What comes last waits for its window to fill, and none of it is measured.
                        await broker.until(decisions, self._owed + len(live.started), [usage])
                    await broker.until(decisions, self._owed + len(live.started), [usage])
            caused = await broker.caused(decisions)
            swept = [each["event_published_at"].timestamp() for each in await pool.fetch(SWEPT, begun)]
            await broker.delete(uploads, decisions)
        if faults := self._faults(caused, live):
            raise RuntimeError(f"sweep: {faults}: {log}")
        sweep = Phase(swept[0], swept[-1])
        return [
            self._sweep(sweep, usage),
            self._measured("live uploads alone", alone, live, caused, usage),
            self._measured("live uploads beside it", sweep, live, caused, usage),
        ]

    @asynccontextmanager
    async def _coming(self, live: Live) -> AsyncIterator[None]:
        """Uploads come meanwhile."""
        stop = asyncio.Event()
        coming = asyncio.create_task(live.run(stop))
        try:
            yield
        finally:
            stop.set()
            await coming

    async def _swept(self, live: Live, begun: datetime, usage: Usage) -> Phase:
        """Has rows be owed and swept; when the uploads were alone."""
        started = time.time()
        await asyncio.sleep(ALONE)
        alone = Phase(started + WARM, time.time())
        await live.pool.execute(OWE)
        async with asyncio.timeout(DEADLINE):
            while await live.pool.fetchval(STILL_OWED, begun):
                usage.check()
                await asyncio.sleep(LOOKED_AT_EVERY)
        return alone

    def _faults(self, caused: Sequence[Caused], live: Live) -> str:
        wanted = {completion(number).id.encode() for number in range(self._owed)} | live.started.keys()
        decided = Counter(each.cause for each in caused)
        counts = {
            "missing": len(wanted - decided.keys()),
            "doubled": decided.total() - len(decided),
            "unknown": len(decided.keys() - wanted),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    def _sweep(self, phase: Phase, usage: Usage) -> Measurement:
        cpu = usage.cpu_between(phase.start, phase.end) / self._owed
        return Measurement(
            f"sweep of {self._owed:,} owed rows",
            self._owed / phase.seconds,
            cpu * 10_000,
            usage.peak_rss / 2**20,
            scale=self._owed,
        )

    def _measured(
        self, name: str, phase: Phase, live: Live, caused: Sequence[Caused], usage: Usage
    ) -> Measurement:
        latencies = [
            each.at - started
            for each in caused
            if phase.start <= (started := live.started.get(each.cause, 0.0)) < phase.end
        ]
        decisions = sum(phase.start <= each.at < phase.end for each in caused)
        cuts = quantiles(latencies, n=100)
        return Measurement(
            name,
            len(latencies) / phase.seconds,
            usage.cpu_between(phase.start, phase.end) / decisions * 10_000,
            usage.rss_until(phase.end) / 2**20,
            cuts[49] * 1000,
            cuts[98] * 1000,
            scale=self._owed,
        )
