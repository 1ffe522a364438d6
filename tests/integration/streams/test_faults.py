"""Workers that are killed, paused and told to end, and a broker that crashes: inputs ⊆ decisions, always."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from devstack.stack import Stack
from mediagate.settings import Settings, StreamsSettings
from mediagate.topics import TopicAdmin, Topics, load_topics
from tests.integration.streams.broker import Broker
from tests.uploads import upload

SESSION_TIMEOUT = 6.0
"""Seconds; a broker's own lower limit."""
DEADLINE = 60.0
FOR_EVER = 3600.0
PROGRAM = Path(__file__).with_name("worker_process.py")


class Worker:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self, word: str) -> None:
        """Returns when the worker has said the word."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            while line := await self._process.stdout.readline():
                if line.decode().strip() == word:
                    return
        raise AssertionError(f"the worker ended without having said {word!r}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(DEADLINE):
            return await self._process.wait()


class Workers:
    """Starts worker processes of one consumer group."""

    def __init__(self, settings: StreamsSettings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def working(self, scan_seconds: float = 0.05, **settings: int) -> AsyncIterator[Worker]:
        values = self._settings.model_copy(update=settings)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            values.model_dump_json(include={*StreamsSettings.model_fields} - {"aws_secret_access_key"}),
            str(scan_seconds),
            str(SESSION_TIMEOUT),
            env={"PYTHONPATH": str(Path(__file__).parents[3])},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield Worker(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def worker_settings_of(settings: Settings) -> StreamsSettings:
    changes = {"streams_group": f"streams-{uuid4().hex}", "image_max_wait": 300, "image_batch_size": 10}
    return StreamsSettings.model_validate(settings.model_dump() | changes)


@pytest.fixture
def worker_settings(settings: Settings) -> StreamsSettings:
    return worker_settings_of(settings)


@pytest.fixture
def workers(worker_settings: StreamsSettings) -> Workers:
    return Workers(worker_settings)


@pytest.fixture
async def broker(worker_settings: StreamsSettings, topics: Topics) -> Broker:
    return Broker(worker_settings, topics)


@pytest.fixture
async def uploads(broker: Broker, worker_settings: StreamsSettings) -> set[str]:
    """media_ids of 40 uploads that were published."""
    events = [upload(worker_settings.temp_bucket) for _ in range(40)]
    await broker.send(events)
    return {event.subject for event in events}


async def test_a_kill_mid_scan_of_a_fresh_group_loses_nothing(
    workers: Workers, broker: Broker, uploads: set[str]
) -> None:
    async with workers.working(FOR_EVER) as killed:
        await killed.says("scanning")
        killed.signal(signal.SIGKILL)
        await killed.ended()
    assert await broker.uncommitted() == len(uploads)
    async with workers.working() as next_one:
        assert set(await broker.decided(uploads)) == uploads
        next_one.signal(signal.SIGTERM)
        assert await next_one.ended() == 0
    assert await broker.uncommitted() == 0


async def test_a_kill_mid_window_loses_nothing(workers: Workers, broker: Broker, uploads: set[str]) -> None:
    async with workers.working(image_max_wait=3_600_000, image_batch_size=1000) as killed:
        await killed.says("arrived")
        killed.signal(signal.SIGKILL)
        await killed.ended()
    async with workers.working():
        assert set(await broker.decided(uploads)) == uploads


async def test_being_told_to_end_mid_scan_finishes_that_window_and_drops_the_rest(
    workers: Workers, broker: Broker, uploads: set[str]
) -> None:
    async with workers.working(scan_seconds=2.0) as ending:
        await ending.says("scanning")
        ending.signal(signal.SIGTERM)
        await ending.says("scanned")
        assert await ending.ended() == 0
    left = await broker.uncommitted()
    assert 0 < left < len(uploads)
    async with workers.working() as next_one:
        decided = await broker.decided(uploads)
        next_one.signal(signal.SIGTERM)
        assert await next_one.ended() == 0
    assert len(decided) == len(uploads)  # what the first one finished was not done again
    assert await broker.uncommitted() == 0


async def test_a_worker_that_joins_mid_scan_shares_the_rest(
    workers: Workers, broker: Broker, uploads: set[str], worker_settings: StreamsSettings
) -> None:
    more = [
        upload(worker_settings.temp_bucket) for _ in range(160)
    ]  # enough for the second one to find some left
    await broker.send(more)
    async with workers.working(scan_seconds=1.0) as first:
        await first.says("scanning")
        async with workers.working() as second:
            await second.says("scanning")
            wanted = uploads | {event.subject for event in more}
            assert wanted <= set(await broker.decided(wanted))
            for worker in (first, second):
                worker.signal(signal.SIGTERM)
                assert await worker.ended() == 0
    assert await broker.uncommitted() == 0


async def test_a_worker_paused_past_its_session_changes_nothing_when_it_wakes(
    workers: Workers, broker: Broker, uploads: set[str], worker_settings: StreamsSettings
) -> None:
    async with workers.working(scan_seconds=1.0) as zombie:
        await zombie.says("scanning")
        zombie.signal(signal.SIGSTOP)
        async with workers.working() as heir:
            assert set(await broker.decided(uploads)) == uploads
            await broker.until_committed()
            zombie.signal(signal.SIGCONT)
            await zombie.says("scanned")
            works_again = asyncio.create_task(zombie.says("scanned"))
            wanted: set[str] = set()
            while not works_again.done():  # until it is a member again, and does its share
                more = [upload(worker_settings.temp_bucket) for _ in range(8)]
                await broker.send(more)
                wanted |= {event.subject for event in more}
                await asyncio.wait({works_again}, timeout=1)
            works_again.result()
            assert wanted <= set(await broker.decided(wanted))
            for worker in (zombie, heir):
                worker.signal(signal.SIGTERM)
                assert await worker.ended() == 0
    assert await broker.uncommitted() == 0


async def test_a_broker_that_crashes_mid_emit_is_waited_for(
    settings: Settings, topics_file: Path, tmp_path: Path
) -> None:
    with Stack(tmp_path / "stack") as stack:
        changed = {"kafka_bootstrap_servers": stack.kafka.bootstrap_servers, "topics_file": topics_file}
        own = worker_settings_of(Settings.model_validate(settings.model_dump() | changed))
        topics = await _topics_on(own)
        broker, workers = Broker(own, topics), Workers(own)
        events = [upload(own.temp_bucket) for _ in range(200)]
        await broker.send(events)
        async with workers.working(scan_seconds=0.2) as worker:
            for _ in range(3):
                await worker.says("scanned")
            await asyncio.to_thread(stack.kafka.kill)
            await asyncio.to_thread(stack.kafka.start)
            wanted = {event.subject for event in events}
            assert set(await broker.decided(wanted)) == wanted
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0
        assert await broker.uncommitted() == 0


async def _topics_on(settings: Settings) -> Topics:

    topics = load_topics(settings.topics_file)
    async with TopicAdmin(settings.kafka_bootstrap_servers) as admin:
        await admin.apply(await admin.plan(topics))
    return topics
