"""`mediagate replay` on a topic of uploads that are all decided: what it selects and publishes a second."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from benchmarks import rows
from benchmarks.machine import Ended, cores, run_to_its_end
from benchmarks.results import Measurement
from benchmarks.stream.broker import Broker, Caused
from benchmarks.topics import make_topics
from devstack.stack import Stack
from mediagate.event_examples import COMPLETED_AT
from mediagate.jobs import State
from mediagate.migrations import migrate

COMMAND = ("-m", "mediagate", "replay", "--from-offset", "0")
APPROVED = '{"outcome": "approved"}'
NOTHING = ("--to-offset", "0")
"""What the command takes for these is its start and its end: it is no part of the rates."""


class ReplayBenchmark:
    """One broker and one table of rows, for all runs."""

    def __init__(self, stack: Stack, directory: Path, events: int) -> None:
        self._environment = stack.endpoints().environment()
        self._servers = self._environment["KAFKA_BOOTSTRAP_SERVERS"]
        self._directory = directory
        self._events = events

    async def prepare(self) -> None:
        """Makes the tables, with a row for each upload."""
        await migrate(self._environment["DATABASE_URL"])
        async with rows.opened(self._environment["DATABASE_URL"]) as pool:
            await rows.insert(
                pool, range(self._events), State.PUBLISHED, COMPLETED_AT, decision=APPROVED, published=True
            )
            await pool.execute("analyze media_jobs")

    async def run(self) -> list[Measurement]:
        """A dry run, then an execution; raises RuntimeError where that left anything out or sent it twice."""
        name = f"bench.{uuid4().hex[:8]}"
        uploads, log = f"{name}.uploads", self._directory / f"{name}.log"
        async with Broker(self._servers) as broker:
            await broker.create(uploads)
            await broker.fill(uploads, self._events)
            with tempfile.TemporaryDirectory() as scratch:
                named = {"upload_completed_image": uploads, "approved": f"{name}.decisions"}
                topics = await make_topics(self._servers, Path(scratch), name, named)
                environment = {**self._environment, "TOPICS_FILE": str(topics)}
                _, nothing, dry, executed = (  # the first one warms up
                    run_to_its_end(
                        [sys.executable, *COMMAND, "--topic", uploads, *options], environment, cores()[0], log
                    )
                    for options in (NOTHING, NOTHING, (), ("--execute",))
                )
            copies = await broker.caused(uploads)
            await broker.delete(uploads)
        if faults := _faults(copies, self._events):
            raise RuntimeError(f"replay: {faults}: {log}")
        return [
            self._measurement("selected, in a dry run", nothing, dry),
            self._measurement("republished", dry, executed),
        ]

    def _measurement(self, name: str, less: Ended, whole: Ended) -> Measurement:
        return Measurement(
            name,
            self._events / (whole.seconds - less.seconds),
            (whole.cpu - less.cpu) / self._events * 10_000,
            whole.peak_rss / 2**20,
            scale=self._events,
        )


def _faults(copies: Sequence[Caused], wanted: int) -> str:
    copied = {each.cause for each in copies}
    counts = {"missing": wanted - len(copied), "doubled": len(copies) - len(copied)}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
