"""Uploads that are decided already: their events are answered, and cost nothing."""

import json
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from mediagate.events import (
    DECISION_TYPES,
    Decision,
    Event,
    Outcome,
    OutgoingRecord,
    UploadCompleted,
    decode,
    event_id,
)
from mediagate.media import MediaType
from mediagate.scanners import Scanned
from mediagate.settings import Band
from mediagate.testing.scanner import ScriptedScanner
from tests.integration.streams.scene import SEEN, Scene
from tests.uploads import NOW

SCORES = {"violence": 0.25, "nsfw": 0.125, "a": 1.0}
INSERT = """
    insert into media_jobs (media_id, user_id, file_name, file_size, mime_type, sha256, linked_to_type,
        linked_to_id, bucket, key, etag, state, decision, created_at, queued_at)
    values ($1, 'user', 'a.png', $2, 'image/png', $3, 'post', '1', $4, $5, $6, $7, $8, $9, $9)
"""


def recorded(upload: UploadCompleted, outcome: Outcome, scores: Mapping[str, float] = SCORES) -> Decision:
    return Decision(
        media_id=upload.media_id,
        upload=upload,
        outcome=outcome,
        reasons=("because",),
        scores=scores,
        scanner="local",
        model_version="old",
        policy_version="old",
        inspection=SEEN,
    )


async def ended(scene: Scene, upload: UploadCompleted, state: str, decision: Decision | None) -> None:
    """The row as the sinks leave it."""
    said = None
    if decision is not None:
        said = json.loads(decision.model_dump_json()) | {"event_id": "d", "traceparent": "t"}
    await scene.pool.execute(
        INSERT,
        upload.media_id,
        upload.size,
        upload.sha256,
        upload.bucket,
        upload.key,
        upload.etag,
        state,
        said,
        NOW,
    )


def read(record: OutgoingRecord) -> Event[Decision]:
    return decode(record.key, record.value, record.headers, Decision, *set(DECISION_TYPES.values()))


def rescan(event: Event[UploadCompleted], **place: str) -> Event[UploadCompleted]:
    data = event.data.model_copy(update={**place, "rescan": True})
    return event._replace(id="rescan", data=data, causation_id=event.id)


async def answer(scene: Scene, scanner: ScriptedScanner, event: Event[UploadCompleted]) -> Event[Decision]:
    """What is decided on the event, wherever its object stands."""
    arrival = scene.arrival(event, event.data.bucket)
    (record,) = await scene.scan(scanner).decide([arrival])
    return read(record)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("approved", Outcome.APPROVED),
        ("published", Outcome.APPROVED),
        ("quarantined", Outcome.REJECTED),
        ("needs_review", Outcome.NEEDS_REVIEW),
        ("unscannable", Outcome.UNSCANNABLE),
    ],
)
async def test_an_event_of_a_decided_upload_is_answered_with_its_decision(
    scene: Scene, state: str, outcome: Outcome
) -> None:
    event = scene.upload(verified=False)
    await ended(scene, event.data, state, recorded(event.data, outcome))
    scanner = ScriptedScanner(name="local")

    answered = await answer(scene, scanner, event._replace(id="again"))

    assert scanner.batches == []
    assert scene.inspector.inspected == []
    assert answered.data == recorded(event.data, outcome)
    assert "event_id" not in answered.data.model_dump()
    kind = DECISION_TYPES[outcome]
    assert answered.id == event_id(kind, event.data.media_id, "again")
    assert (answered.causation_id, answered.traceparent) == ("again", event.traceparent)


async def test_the_answer_is_identical_to_the_first_decision(scene: Scene) -> None:
    event = scene.upload(verified=False)
    scanner = ScriptedScanner(default=Scanned(SCORES), name="local")
    (first,) = await scene.scan(scanner).decide([scene.arrival(event)])
    decision = read(first).data
    await ended(scene, event.data, "needs_review", decision)

    (second,) = await scene.scan(scanner).decide([scene.arrival(event)])

    assert (second.topic, second.key, second.value, second.headers) == (
        first.topic,
        first.key,
        first.value,
        first.headers,
    )
    assert len(scanner.batches) == 1


@pytest.mark.parametrize("changed", ["bucket", "key", "etag"])
async def test_an_event_of_other_bytes_is_not_answered(scene: Scene, changed: str) -> None:
    event = scene.upload()
    other = event.data.model_copy(update={changed: '"other"'})
    await ended(scene, other, "needs_review", recorded(other, Outcome.NEEDS_REVIEW))
    scanner = ScriptedScanner(name="local")

    assert (await answer(scene, scanner, event)).data.outcome is Outcome.APPROVED
    assert len(scanner.batches) == 1


async def test_an_upload_that_is_not_decided_is_scanned(scene: Scene) -> None:
    event = scene.upload()
    await ended(scene, event.data, "queued", None)
    scanner = ScriptedScanner(name="local")

    assert (await answer(scene, scanner, event)).data.model_version == "1"
    assert len(scanner.batches) == 1


async def test_answers_leave_brakes_and_block_list_alone(scene: Scene) -> None:
    event = scene.upload()
    await ended(scene, event.data, "published", recorded(event.data, Outcome.APPROVED))
    await scene.pool.execute(
        "insert into hash_block_list (kind, hash, added_at) values ('sha256', $1, $2)", event.data.sha256, NOW
    )
    band: Mapping[Outcome, Band] = {Outcome.APPROVED: (0.0, 0.5), Outcome.REJECTED: (0.0, 0.5)}
    scan = scene.scan(
        ScriptedScanner(name="local"), bands=dict.fromkeys(MediaType, band), decisions=2, pause=timedelta(1)
    )

    for _ in range(3):
        (record,) = await scan.decide([scene.arrival(event)])
        assert read(record).data.outcome is Outcome.APPROVED

    assert await scene.brake_rows() == []
    assert await scene.pool.fetchval("select count(*) from hash_block_matches") == 0


async def test_a_rescan_is_decided_anew(scene: Scene) -> None:
    event = scene.upload()
    await ended(scene, event.data, "quarantined", recorded(event.data, Outcome.REJECTED))
    scanner = ScriptedScanner(name="local")

    answered = await answer(scene, scanner, rescan(event))

    assert answered.data.outcome is Outcome.APPROVED
    assert answered.data.upload.rescan
    assert len(scanner.batches) == 1


async def test_a_rescan_of_an_object_that_has_moved_is_answered_with_the_decision(scene: Scene) -> None:
    """Its decision was carried out, and then its event was read again."""
    event = scene.upload()
    await ended(scene, event.data, "quarantined", recorded(event.data, Outcome.REJECTED))
    scene.store.objects.clear()
    scanner = ScriptedScanner(name="local")

    answered = await answer(scene, scanner, rescan(event, key="where it was before"))

    assert scanner.batches == []
    assert answered.data.outcome is Outcome.REJECTED
    assert (answered.data.upload.rescan, answered.data.upload.key) == (True, "where it was before")


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_rescan_that_was_carried_out_is_not_decided_again(scene: Scene, replaced: bool) -> None:
    """Its object may stand where it was, or again."""
    event = scene.upload()
    await ended(scene, event.data, "quarantined", recorded(event.data, Outcome.REJECTED))
    first = event_id(DECISION_TYPES[Outcome.APPROVED], event.data.media_id, "rescan")
    said = {"event_id": "d", "replaced": [first]} if replaced else {"event_id": first}
    await scene.pool.execute("update media_jobs set decision = decision || $1", said)
    scanner = ScriptedScanner(name="local")

    answered = await answer(scene, scanner, rescan(event))

    assert scanner.batches == []
    assert answered.data.outcome is Outcome.REJECTED
    assert not answered.data.upload.rescan
    assert "replaced" not in answered.data.model_dump()


async def test_decided_and_undecided_uploads_of_a_window_are_answered_in_their_order(scene: Scene) -> None:
    old, new, gone = scene.upload(), scene.upload(), scene.upload()
    await ended(scene, old.data, "quarantined", recorded(old.data, Outcome.REJECTED))
    del scene.store.objects[gone.data.bucket, gone.data.key]
    scanner = ScriptedScanner(name="local")

    decisions = await scene.decisions(scene.scan(scanner), gone, old, new)

    assert [each.media_id for each in decisions] == [gone.data.media_id, old.data.media_id, new.data.media_id]
    outcomes = [each.outcome for each in decisions]
    assert outcomes == [Outcome.UNSCANNABLE, Outcome.REJECTED, Outcome.APPROVED]
    assert [UUID(item.job_id) for batch in scanner.batches for item in batch] == [new.data.media_id]
