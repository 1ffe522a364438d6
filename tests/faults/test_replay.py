"""Recovery sweeps and replays of every event, both at once, come to the same as each event once."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from mediagate.events import OutgoingRecord, encode
from mediagate.jobs import State, upload_completed
from mediagate.topics import Topics
from streams.recovery import SOURCE
from tests.faults import stage as settings_of_workers
from tests.faults.checker import Evidence, Record, violations
from tests.faults.stage import Stage
from tests.faults.uploads import Kind, Upload, chance, uploads

ROUNDS = 10
EAGER = {"RECOVERY_INTERVAL": "1", "RECOVERY_COOLDOWN": "1", "RECOVERY_MAX_ATTEMPTS": "1000"}
"""Sweeps that find something to do while events are under way, and never give an upload up."""


@pytest.fixture(autouse=True)
def eager_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EAGER.items():
        monkeypatch.setitem(settings_of_workers.WORKER_SETTINGS, name, value)


async def test_sweeps_and_replays_change_nothing(stage: Stage) -> None:
    random, enough = chance("replay"), asyncio.Event()
    async with stage.workers(streams=1, sinks=1):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.feed(of_every_kind(random), random, enough))
            for _ in range(ROUNDS):
                await stage.send(reordered(await stage.events(), random))
            enough.set()
        await stage.settled()
        once = await stage.evidence()
        assert any(each.headers["ce_source"] == SOURCE.encode() for each in once.records)
        await stage.send(second_attempts(once, stage.topics))
        for _ in range(2):
            await stage.send(reordered(await stage.events(), random))
            await stage.read_to_the_end()
        await stage.look()
        assert await stage.drained() == [0, 0, 0]
    thrice = await stage.evidence()
    assert violations(thrice) == []
    assert contents(thrice) == contents(once)


def of_every_kind(random: Random) -> Iterator[Upload]:
    """As many of each kind."""
    return (replace(each, kind=random.choice(list(Kind))) for each in uploads(random))


def reordered(records: Sequence[Record], random: Random) -> list[OutgoingRecord]:
    """Every event so far once; those of one upload in their order, the uploads in one of chance."""
    events: dict[bytes | None, dict[str, OutgoingRecord]] = {}
    for record in records:
        again = OutgoingRecord(record.topic, record.key, record.value, list(record.headers.items()))
        events.setdefault(record.key, {}).setdefault(record.id, again)
    turns = [key for key, of_key in events.items() for _ in of_key]
    random.shuffle(turns)
    in_order = {key: iter(of_key.values()) for key, of_key in events.items()}
    return [next(in_order[key]) for key in turns]


def second_attempts(evidence: Evidence, topics: Topics) -> list[OutgoingRecord]:
    """Late events of uploads that have ended, as recovery makes them of those that have not."""
    rows = [job for job in evidence.jobs if job["state"] != State.EXPIRED]
    events = [upload_completed(row, 2, "/faults", datetime.now(UTC)) for row in rows]
    return [encode(event, topics.upload_completed(event.data.media_type).name) for event in events]


def contents(evidence: Evidence) -> Mapping[str, Any]:
    """All rows and all objects."""
    tables = {"jobs": evidence.jobs, "items": evidence.items, "reports": evidence.reports}
    rows = {name: sorted(map(str, table)) for name, table in tables.items()}
    return {**rows, "objects": evidence.objects}
