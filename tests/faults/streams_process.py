"""`python -m streams`, but for its scanner, which is scripted, and a session that ends sooner.

Arguments: the file of the scanner's mood; `commit-first` makes the fault that the checker must find.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mediagate import failpoints, publisher
from mediagate.errors import TransientError
from mediagate.failpoints import Step
from mediagate.media_pool import MediaPool
from mediagate.process import run_process
from mediagate.scanners import ScanItem
from mediagate.scanners.routes import ScannerName
from mediagate.settings import StreamsSettings
from mediagate.testing.scanner import ScriptedScanner
from streams import app
from streams.batcher import Batcher
from tests.faults.script import SESSION_TIMEOUT, Answers, Mood, mood
from workers import app as workers_app

LATENCY = {Mood.SLOW: 2.0}
ONE_RECORD = 1
"""Bytes of a batch: a window's decisions leave in many requests, so a crash finds some sent, some not."""


@asynccontextmanager
async def scripted(
    name: ScannerName, settings: StreamsSettings, pool: MediaPool
) -> AsyncIterator[ScriptedScanner]:
    mood_file = Path(sys.argv[1])

    async def latency(items: Sequence[ScanItem]) -> None:
        now = mood(mood_file)
        if now is Mood.DOWN:
            raise TransientError("the scanner is down")
        await asyncio.sleep(LATENCY.get(now, 0.05))

    yield ScriptedScanner(Answers(mood_file), latency=latency, reads=True, name=name)


async def commit_first(self: Batcher, window: Any, trigger: Any, decided: asyncio.Event) -> None:
    """The fault: offsets are the group's before the broker has the decisions."""
    records = await self._decide(window.items)
    decided.set()
    self._ledger.settle((arrival.tp, arrival.record.offset) for arrival in window.items)
    await self._commit_settled()
    failpoints.PROCESS.reach(Step.BEFORE_COMMIT)
    await self._publish(records)


if __name__ == "__main__":
    workers_app.SESSION_TIMEOUT = SESSION_TIMEOUT
    publisher.BATCH_BYTES = ONE_RECORD
    sys.modules["streams.app"].open_scanner = scripted  # type: ignore[attr-defined]
    if "commit-first" in sys.argv:
        Batcher._process = commit_first  # type: ignore[method-assign]
    sys.exit(run_process("streams", app.run))
