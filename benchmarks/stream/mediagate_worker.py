"""The real streams worker, nothing of which is a stub but its inspector and its scanner.

`EXAMINED=no` leaves out all that looks at bytes or remembers them: HEAD, block list and known verdicts too.
`RECOVERY=yes` has it sweep, too.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from mediagate.database import connect
from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.event_examples import INSPECTION, UPLOAD
from mediagate.logs import configure_logs
from mediagate.media import MediaType
from mediagate.policy import load_policy
from mediagate.process import run_process
from mediagate.publisher import KafkaPublisher
from mediagate.scanners import ScanItem, ScanResult, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.routes import Route, ScannerName
from mediagate.settings import StreamsSettings, load_settings
from mediagate.storage import S3, ObjectHead
from mediagate.testing.scanner import HARMLESS
from mediagate.topics import load_topics
from streams.arrivals import Arrival
from streams.block_list import BlockList
from streams.brakes import Brakes
from streams.breakers import GuardedScanner
from streams.cases import Case, Scored
from streams.panel import Panel
from streams.recorded import RecordedDecisions
from streams.recovery import Recovery
from streams.scanning import Policies, WindowScan
from streams.verdicts import Verdicts
from streams.worker import StreamsWorker

SCANNER = ScannerName.LOCAL


class NothingStored(S3):
    """S3 whose objects are what the benchmark's events say."""

    async def head(self, bucket: str, key: str) -> ObjectHead | None:
        """An object whose bytes are the number in its key."""
        digest = sha256(key.rpartition("/")[2].encode()).hexdigest()
        return ObjectHead(bucket, key, UPLOAD.size, UPLOAD.etag, UPLOAD.mime_type, digest, {})


class NothingInspected:
    """An inspector that has understood whatever it is given."""

    async def inspect(
        self, items: Sequence[ScanItem], *, with_pdq: bool = False
    ) -> Sequence[Inspected | Unscannable]:
        """One result per item."""
        return [Inspected(INSPECTION) for _ in items]


class AnswersAtOnce:
    """A scanner to which everything is harmless."""

    name = SCANNER

    async def model_version(self) -> str:
        """Always the same."""
        return "1"

    async def check(self) -> None:
        """Nothing is missing."""

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item."""
        return [HARMLESS] * len(items)


class NothingExamined(WindowScan):
    """A scan without any step that looks at bytes."""

    def expect(self, arrivals: Sequence[Arrival]) -> None:
        """Asks nothing."""

    async def _examine(self, cases: Sequence[Case]) -> None:
        for case in cases:
            case.inspection = INSPECTION
            case.finding = Scored(HARMLESS, SCANNER, "1")


def _now() -> datetime:
    return datetime.now(UTC)


async def run(stop: asyncio.Event) -> None:
    """Works until `stop` is set."""
    settings = load_settings(StreamsSettings)
    configure_logs("streams", settings.log_level, settings.log_format)
    topics, policy = load_topics(settings.topics_file), load_policy(settings.policy_file)
    scanner = GuardedScanner(AnswersAtOnce(), settings.breaker_failures, settings.breaker_pause)
    kind = WindowScan if os.environ["EXAMINED"] == "yes" else NothingExamined
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        publisher = await stack.enter_async_context(
            KafkaPublisher(settings.kafka_bootstrap_servers, "mediagate-streams")
        )
        database = await stack.enter_async_context(await connect(str(settings.database_url), 6))
        scan = kind(
            NothingStored(settings),
            NothingInspected(),
            BlockList(database, settings.block_list_max_matches, now=_now),
            Panel(
                {each: [Route(scanner=SCANNER)] for each in MediaType},
                {SCANNER: scanner},
                Verdicts(database, now=_now),
                policy,
            ),
            Policies(policy),
            Brakes(database, settings.bands(), settings.brake_decisions, now=_now),
            DeadLetterCap(database, settings.dead_letter_share, settings.dead_letter_window, now=_now),
            RecordedDecisions(database),
            topics,
            now=_now,
        )
        background = []
        if os.environ.get("RECOVERY") == "yes":
            recovery = Recovery(settings, topics, database, NothingStored(settings), publisher, now=_now)
            background.append(asyncio.create_task(recovery.run()))
        worker = StreamsWorker(settings, topics, publisher, scan.decide, scratch, scan.is_paused, scan.expect)
        await worker.run(stop, *background)


if __name__ == "__main__":
    sys.exit(run_process("streams", run))
