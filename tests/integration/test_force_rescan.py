"""Uploads decided anew, in both directions, and no human outranked; then everything read again, twice."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from mediagate.database import connect
from mediagate.events import Event, EventType, OutgoingRecord, Override, OverrideVerdict, encode
from mediagate.jobs import State
from tests.faults.uploads import Upload, chance, uploads
from tests.integration.test_replay_twice import ROUNDS, Town, stored, town
from tests.replays import insert, publish_records, rows

__all__ = ["town"]  # a fixture

EACH = 3
ENDS = (State.PUBLISHED, State.QUARANTINED, State.NEEDS_REVIEW, State.UNSCANNABLE)
POLICY = """
default:
  unscannable: hold
  thresholds:
    nsfw: {{hold: {hold}, reject: {reject}}}
"""


@pytest.fixture
async def database(town: Town) -> AsyncIterator[Any]:
    async with await connect(str(town.settings.database_url), 1) as pool:
        yield pool


async def test_rescans_replace_decisions_and_no_humans(town: Town, database: Any, tmp_path: Path) -> None:
    batch = list(islice(of_every_kind(), EACH * len(ENDS)))
    await publish_records(town.settings.kafka_bootstrap_servers, await records_of(town, database, batch))
    await decide(town, tmp_path, hold=0.6, reject=0.85)
    first = await states(town)
    assert first == {each.media_id: each.accepted.end for each in batch}

    made_private = next(media_id for media_id, state in first.items() if state is State.PUBLISHED)
    made_public = next(media_id for media_id, state in first.items() if state is State.QUARANTINED)
    human = {made_private: State.QUARANTINED, made_public: State.PUBLISHED}
    overrides = [
        override(town, made_private, OverrideVerdict.REJECT),
        override(town, made_public, OverrideVerdict.APPROVE),
    ]
    await publish_records(town.settings.kafka_bootstrap_servers, overrides)
    await decide(town, tmp_path, hold=0.6, reject=0.85)
    assert await states(town) == first | human

    for hold, reject, lenient in ((0.01, 0.02, State.QUARANTINED), (0.8, 0.9, State.PUBLISHED)):
        said = await rescan(town)
        assert "Left out: 2 overridden" in said
        await decide(town, tmp_path, hold=hold, reject=reject)
        ends = {State.PUBLISHED: lenient, State.NEEDS_REVIEW: lenient}
        scored = {media_id: ends.get(state, state) for media_id, state in first.items()}
        assert await states(town) == scored | human
        await check_places(town)

    before = await town.everything()
    for _ in range(ROUNDS):
        await town.replay(len(batch))
        for group in (town.settings.streams_group, town.settings.sinks_group):
            await town.mediagate(
                "offsets", "reset", "--group", group, "--all-topics", "--to-earliest", "--execute"
            )
        await decide(town, tmp_path, hold=0.8, reject=0.9)
        assert await town.everything() == before


def of_every_kind() -> Iterator[Upload]:
    """So many pictures of each end."""
    found: Counter[State] = Counter()
    for each in uploads(chance("rescans")):
        end = each.accepted.end
        if end in ENDS and found[end] < EACH and each.mime_type.startswith("image/"):
            found[end] += 1
            yield each


async def records_of(town: Town, database: Any, batch: list[Upload]) -> list[OutgoingRecord]:
    records = []
    for number, each in enumerate(batch):
        event = stored(town, each, number % 4 != 0)  # of some S3 has verified no checksum
        if number % 3:
            await insert(database, event.data, "queued")
        records.append(encode(event, town.topics.upload_completed(event.data.media_type).name))
    return records


def override(town: Town, media_id: UUID, verdict: OverrideVerdict) -> OutgoingRecord:
    now = datetime.now(UTC)
    data = Override(media_id=media_id, verdict=verdict, reason="seen", operator="olga", requested_at=now)
    event = Event(str(uuid4()), EventType.OVERRIDE, "/test", now, str(media_id), data)
    return encode(event, town.topics.overrides.name)


async def decide(town: Town, directory: Path, *, hold: float, reject: float) -> None:
    """Has both workers read all that there is, under a policy."""
    policy = directory / "own-policy.yaml"
    policy.write_text(POLICY.format(hold=hold, reject=reject))
    town.environment["POLICY_FILE"] = str(policy)
    async with town.workers():
        await town.read_to_the_end()


async def rescan(town: Town) -> str:
    topics = [word for topic in town.upload_topics for word in ("--topic", topic)]
    return await town.mediagate("replay", *topics, "--from-offset", "0", "--force-rescan", "--execute")


async def states(town: Town) -> dict[UUID, State]:
    found = await rows(str(town.settings.database_url), "select media_id, state from media_jobs")
    return {row["media_id"]: State(row["state"]) for row in found}


async def check_places(town: Town) -> None:
    """Every object stands once, where its record says."""
    found = await rows(
        str(town.settings.database_url),
        """select coalesce(item.bucket, report.bucket, job.bucket) as bucket,
               coalesce(item.key, report.key, job.key) as key
           from media_jobs as job left join media_items as item using (media_id)
           left join system_reports as report using (media_id)""",
    )
    stands = {place for place in town.objects() if not place[1].startswith("canary/")}
    assert stands == {(row["bucket"], row["key"]) for row in found}
