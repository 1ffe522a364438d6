"""`python -m streams`, but for what looks at bytes: inspector and scanner answer at once, without.

The scanner writes each window that it is given to standard output, as JSON.
"""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.stream.mediagate_worker import AnswersAtOnce, NothingInspected
from mediagate.media_pool import MediaPool
from mediagate.process import run_process
from mediagate.scanners import ScanItem, ScanResult
from mediagate.scanners.routes import ScannerName
from mediagate.settings import StreamsSettings
from streams import app


class TellsItsWindows(AnswersAtOnce):
    """A scanner to which everything is harmless, and who says what came together."""

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item."""
        sys.stdout.write(json.dumps({"window": [item.job_id for item in items]}) + "\n")
        sys.stdout.flush()
        return await super().scan(items)


@asynccontextmanager
async def at_once(
    name: ScannerName, settings: StreamsSettings, pool: MediaPool
) -> AsyncIterator[TellsItsWindows]:
    """Opens no other scanner."""
    yield TellsItsWindows()


def nothing_inspected(pool: MediaPool, settings: StreamsSettings) -> NothingInspected:
    """Asks no process to decode anything."""
    return NothingInspected()


if __name__ == "__main__":
    module: Any = app
    module.open_scanner, module.MediaInspector = at_once, nothing_inspected
    module._canary_pictures = lambda settings, scanners: {}
    sys.exit(run_process("streams", app.run))
