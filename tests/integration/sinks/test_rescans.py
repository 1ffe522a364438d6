"""Decisions that an operator asked for anew: they replace the one that there is, and no human's."""

import pytest

from mediagate.errors import DeadLetterError
from mediagate.events import Decision, Event, Outcome, OverrideVerdict, UploadCompleted
from mediagate.jobs import State
from mediagate.testing.publisher import InMemoryPublisher
from sinks.effects import Effects
from tests.integration.sinks.crashes import Crash, Crashing
from tests.integration.sinks.scene import Scene, decision, override

STATES = {
    Outcome.APPROVED: State.PUBLISHED,
    Outcome.REJECTED: State.QUARANTINED,
    Outcome.NEEDS_REVIEW: State.NEEDS_REVIEW,
    Outcome.UNSCANNABLE: State.UNSCANNABLE,
}
HELD = {Outcome.NEEDS_REVIEW, Outcome.UNSCANNABLE}
MOST_STEPS = 14


def ended(first: Outcome, second: Outcome) -> State:
    """Where an upload of a first decision is after a rescan."""
    if first is Outcome.APPROVED and second in HELD:
        return State.QUARANTINED
    if first is Outcome.REJECTED and second in HELD:
        return State.QUARANTINED
    return STATES[second]


async def stands(scene: Scene, upload: UploadCompleted) -> UploadCompleted:
    """The upload's event, as an operator's rescan has it by now."""
    row = await scene.row("media_items", upload.media_id) or await scene.row(
        "system_reports", upload.media_id
    )
    bucket, key = (row["bucket"], row["key"]) if row else (upload.bucket, upload.key)
    etag = scene.client.head_object(Bucket=bucket, Key=key)["ETag"]
    return upload.model_copy(update={"bucket": bucket, "key": key, "etag": etag, "rescan": True})


async def rescan(scene: Scene, upload: UploadCompleted, outcome: Outcome, cause: str) -> Event[Decision]:
    return decision(await stands(scene, upload), outcome, cause=cause)


@pytest.mark.parametrize("second", list(Outcome))
@pytest.mark.parametrize("first", list(Outcome))
async def test_a_rescan_replaces_the_decision(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher, first: Outcome, second: Outcome
) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, first))
    before = await scene.row("media_jobs", upload.media_id)
    event, end = await rescan(scene, upload, second, "2"), ended(first, second)

    for _ in range(2):
        assert await effects.carry_out(event) is end
        await effects.carry_out(decision(upload, first))

    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    if end is STATES[first]:
        assert before is not None
        passed_over = before["decision"] | {"replaced": [event.id]}
        assert job == before | {"decision": passed_over}
    else:
        assert (job["decision"]["outcome"], job["decision"]["event_id"]) == (second, event.id)
    assert (await scene.row("media_items", upload.media_id) is None) == (end is not State.PUBLISHED)
    report = await scene.row("system_reports", upload.media_id)
    assert (report is None) == (end is not State.QUARANTINED)
    if report is not None and end is not STATES[first]:
        assert report["reasons"] == list(event.data.reasons)
    assert sum(len(keys) for keys in scene.everywhere().values()) == 1
    ids = [dict(record.headers)["ce_id"] for record in publisher.records]
    told = [state for state in (STATES[first], end) if state in {State.PUBLISHED, State.QUARANTINED}]
    assert len(set(ids)) == len(set(told))
    assert len({(record.topic, record.value, tuple(record.headers)) for record in publisher.records}) == len(
        set(ids)
    )


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("verdict", list(OverrideVerdict))
async def test_no_rescan_outranks_a_human(
    scene: Scene, effects: Effects, verdict: OverrideVerdict, outcome: Outcome
) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, Outcome.NEEDS_REVIEW))
    state = await effects.override(override(upload, verdict))
    before = await scene.row("media_jobs", upload.media_id)

    assert await effects.carry_out(await rescan(scene, upload, outcome, "2")) is state

    assert await scene.row("media_jobs", upload.media_id) == before


async def test_a_rescan_that_was_replaced_changes_nothing_when_it_comes_again(
    scene: Scene, effects: Effects
) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    events = []
    for cause, outcome in (("2", Outcome.REJECTED), ("3", Outcome.APPROVED), ("4", Outcome.REJECTED)):
        events.append(await rescan(scene, upload, outcome, cause))
        await effects.carry_out(events[-1])

    for event in (*events, events[1], events[0]):
        assert await effects.carry_out(event) is State.QUARANTINED

    assert scene.everywhere() == {scene.settings.quarantine_bucket: [str(upload.media_id)]}


async def test_a_rescan_that_moved_nothing_moves_nothing_when_it_comes_again(
    scene: Scene, effects: Effects
) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, Outcome.NEEDS_REVIEW))
    confirmed = await rescan(scene, upload, Outcome.NEEDS_REVIEW, "2")
    await effects.carry_out(confirmed)
    await effects.carry_out(await rescan(scene, upload, Outcome.UNSCANNABLE, "3"))
    before = await scene.row("media_jobs", upload.media_id)

    assert await effects.carry_out(confirmed) is State.UNSCANNABLE

    assert await scene.row("media_jobs", upload.media_id) == before


@pytest.mark.parametrize("fault", ["key", "etag"])
async def test_a_rescan_of_other_bytes_is_a_dead_letter(scene: Scene, effects: Effects, fault: str) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, Outcome.REJECTED))
    event = await rescan(scene, upload, Outcome.APPROVED, "2")
    other = event.data.upload.model_copy(update={fault: '"other"'})
    event = event._replace(data=event.data.model_copy(update={"upload": other}))

    with pytest.raises(DeadLetterError, match="upload_differs"):
        await effects.carry_out(event)

    assert await scene.state(upload.media_id) == "quarantined"


async def test_a_rescan_of_an_unknown_upload_is_a_dead_letter(scene: Scene, effects: Effects) -> None:
    upload = scene.upload()

    with pytest.raises(DeadLetterError, match="unknown_upload"):
        await effects.carry_out(await rescan(scene, upload, Outcome.APPROVED, "1"))

    assert await scene.row("media_jobs", upload.media_id) is None


async def test_an_upload_that_expired_stays_so(scene: Scene, effects: Effects) -> None:
    upload = scene.upload()
    await scene.insert(upload, "expired")

    assert await effects.carry_out(await rescan(scene, upload, Outcome.APPROVED, "1")) is State.EXPIRED


async def test_what_was_understood_before_stays_known_for_a_human(scene: Scene, effects: Effects) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    event = await rescan(scene, upload, Outcome.UNSCANNABLE, "2")
    unseen = event.data.model_copy(update={"inspection": None})
    await effects.carry_out(event._replace(data=unseen))
    assert await scene.state(upload.media_id) == "quarantined"

    assert await effects.override(override(upload, OverrideVerdict.APPROVE)) is State.PUBLISHED


@pytest.mark.parametrize(
    ("first", "second"), [(Outcome.APPROVED, Outcome.REJECTED), (Outcome.REJECTED, Outcome.APPROVED)]
)
async def test_a_crash_after_every_step_ends_in_the_same_place_once(
    scene: Scene,
    effects: Effects,
    crashing: Crashing,
    publisher: InMemoryPublisher,
    first: Outcome,
    second: Outcome,
) -> None:
    crashed = 0
    for steps in range(1, MOST_STEPS + 1):
        upload = scene.upload(file_name=f"photo{steps}.jpg", body=f"body {steps}".encode())
        await effects.carry_out(decision(upload, first))
        event = await rescan(scene, upload, second, "2")
        publisher.records.clear()
        try:
            await crashing(steps).carry_out(event)
        except Crash:
            crashed += 1
        assert await effects.carry_out(event) is STATES[second]

        table = "media_items" if second is Outcome.APPROVED else "system_reports"
        row = await scene.row(table, upload.media_id)
        assert row is not None
        assert scene.everywhere() == {row["bucket"]: [row["key"]]}
        assert scene.read(row["bucket"], row["key"]) == f"body {steps}".encode()
        assert len({dict(record.headers)["ce_id"] for record in publisher.records}) == 2
        assert len({(record.value, record.topic) for record in publisher.records}) == 2
        scene.client.delete_object(Bucket=row["bucket"], Key=row["key"])
    assert 8 <= crashed < MOST_STEPS
