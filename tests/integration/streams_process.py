"""`python -m streams`, but for its scanner, which is scripted and writes down what it is asked.

Argument: the file for the media_ids.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mediagate.media_pool import MediaPool
from mediagate.process import run_process
from mediagate.scanners import ScanItem
from mediagate.scanners.routes import ScannerName
from mediagate.settings import StreamsSettings
from mediagate.testing.scanner import ScriptedScanner
from streams import app
from tests.faults.script import Answers

ASKED = Path(sys.argv[1])


@asynccontextmanager
async def scripted(
    name: ScannerName, settings: StreamsSettings, pool: MediaPool
) -> AsyncIterator[ScriptedScanner]:
    async def note(items: Sequence[ScanItem]) -> None:
        await asyncio.to_thread(write_down, items)

    yield ScriptedScanner(Answers(ASKED.with_suffix(".mood")), latency=note, reads=True, name=name)


def write_down(items: Sequence[ScanItem]) -> None:
    with ASKED.open("a") as file:
        file.writelines(f"{item.job_id}\n" for item in items)


if __name__ == "__main__":
    sys.modules["streams.app"].open_scanner = scripted  # type: ignore[attr-defined]
    sys.exit(run_process("streams", app.run))
