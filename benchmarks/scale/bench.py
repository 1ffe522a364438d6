"""The real streams worker at scale: one on a long backlog, and several that share a topic."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from benchmarks.machine import Usage, cores, running
from benchmarks.results import Measurement
from benchmarks.stream.broker import MEASURED, Broker, Progress, rate, reached
from benchmarks.stream.peers import PEERS
from benchmarks.topics import make_topics
from devstack.stack import Stack
from mediagate.migrations import migrate

PARTITIONS = 8
WORKERS = (1, 2, 4)
MARKS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Shares of a backlog after which memory and rate are noted."""
UNTIL_WARM = 0.01
"""Share of it that is decided before anything counts."""
OURS = PEERS[0]


class _Scale:
    """One broker for all runs; each has topics of its own."""

    def __init__(self, stack: Stack, directory: Path, events: int) -> None:
        self._environment = stack.endpoints().environment()
        self._servers = self._environment["KAFKA_BOOTSTRAP_SERVERS"]
        self._directory = directory
        self._events = events

    async def prepare(self) -> None:
        """Makes the tables."""
        await migrate(self._environment["DATABASE_URL"])

    async def decide(self, workers: int, *, filled_before: bool) -> tuple[list[Progress], Sequence[Usage]]:
        """Has everything decided; raises RuntimeError where anything was decided twice or not at all."""
        name = f"bench.{uuid4().hex[:8]}"
        uploads, decisions, log = f"{name}.uploads", f"{name}.decisions", self._directory / f"{name}.log"
        async with Broker(self._servers, PARTITIONS) as broker:
            await broker.create(uploads, decisions)
            if filled_before:
                await broker.fill(uploads, self._events)
            with ExitStack() as stack:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                named = {"upload_completed_image": uploads, "approved": f"{name}.decisions"}
                topics = await make_topics(self._servers, scratch, name, named)
                environment = {
                    **self._environment,
                    **OURS.environment,
                    "STREAMS_GROUP": name,
                    "TOPICS_FILE": str(topics),
                }
                command = OURS.prepare()
                usages = [
                    stack.enter_context(running(command, environment, cores()[0], log))
                    for _ in range(workers)
                ]
                if not filled_before:
                    await broker.joined(name, workers)
                async with asyncio.TaskGroup() as tasks:
                    watched = tasks.create_task(broker.until(decisions, self._events, usages))
                    if not filled_before:
                        await broker.fill(uploads, self._events)
                progress = watched.result()
                faults = await broker.faults(decisions, uploads, self._events, name)
            await broker.delete(uploads, decisions)
        if faults:
            raise RuntimeError(f"{workers} workers: {faults}: {log}")
        return progress, usages


class Backlog(_Scale):
    """One worker, which finds everything there."""

    async def run(self) -> list[Measurement]:
        """What it did between the marks, and the most memory that it had until each."""
        progress, (usage,) = await self.decide(1, filled_before=True)
        marks = [int(self._events * share) for share in (UNTIL_WARM, *MARKS)]
        return [_between(progress, usage, *bounds) for bounds in pairwise(marks)]


class Workers(_Scale):
    """Several, each with its part of the partitions, all on one core."""

    async def run(self) -> list[Measurement]:
        """One measurement for each number of workers."""
        return [await self._run(number) for number in WORKERS]

    async def _run(self, number: int) -> Measurement:
        progress, usages = await self.decide(number, filled_before=False)
        decisions_a_second, start, end = rate(progress, self._events)
        cpu = sum(usage.cpu_between(start, end) for usage in usages) / (self._events * MEASURED)
        rss = max(usage.peak_rss for usage in usages) / 2**20
        name = f"{number} worker{'' if number == 1 else 's'}"
        return Measurement(name, decisions_a_second, cpu * 10_000, rss, scale=number)


def _between(progress: Sequence[Progress], usage: Usage, first: int, last: int) -> Measurement:
    start, end = reached(progress, first - 1), reached(progress, last - 1)
    decisions = last - first
    return Measurement(
        f"after {last:,}",
        decisions / (end - start),
        usage.cpu_between(start, end) / decisions * 10_000,
        usage.rss_until(end) / 2**20,
        scale=last,
    )
