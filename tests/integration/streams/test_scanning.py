"""A window's way to its decisions: what is decided, by whom, and what never is."""

import asyncio
from collections.abc import Sequence

import pytest
from faust.types import TP

from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import Event, Outcome, UploadCompleted, encode
from mediagate.policy import Policy
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unscannable
from mediagate.storage import ObjectHead
from mediagate.testing.scanner import ScriptedScanner
from mediagate.testing.storage import InMemoryObjectStore
from tests.integration.streams.scene import BUCKET, SEEN, Scene, decision
from tests.uploads import upload

DEADLINE = 10.0


class CountedHeads(InMemoryObjectStore):
    """Counts how often it is asked for an object."""

    asked = 0

    async def head(self, bucket: str, key: str) -> ObjectHead | None:
        self.asked += 1
        return await super().head(bucket, key)


def local(*arguments: object, **options: object) -> ScriptedScanner:
    return ScriptedScanner(*arguments, name="local", **options)  # type: ignore[arg-type]


async def test_answers_every_upload_on_the_topic_of_its_outcome(scene: Scene) -> None:
    safe, unsafe, unclear, damaged = events = [scene.upload() for _ in range(4)]
    scanner = local({unsafe.subject: Scanned({"nsfw": 0.9}), unclear.subject: Scanned({"nsfw": 0.7})})
    scene.inspector.unscannable[damaged.subject] = "undecodable"

    records = await scene.scan(scanner).decide([scene.arrival(event) for event in events])

    assert [(record.topic, decision(record).outcome) for record in records] == [
        ("media.approved", Outcome.APPROVED),
        ("media.rejected", Outcome.REJECTED),
        ("media.held", Outcome.NEEDS_REVIEW),
        ("media.held", Outcome.UNSCANNABLE),
    ]
    assert [record.key for record in records] == [event.subject.encode() for event in events]
    rejected = decision(records[1])
    assert rejected.scores == {"nsfw": 0.9}
    assert rejected.reasons == ("nsfw 0.900 >= reject 0.85",)
    assert (rejected.scanner, rejected.model_version) == ("local", "1")
    assert rejected.policy_version == scene.policy.version
    assert rejected.inspection == SEEN
    assert decision(records[3]).reasons == ("undecodable",)
    assert [[item.job_id for item in batch] for batch in scanner.batches] == [
        [event.subject for event in (safe, unsafe, unclear)]
    ]


@pytest.mark.parametrize("result", [Unscannable("scan_timeout"), Scanned({}), Scanned({"unheard_of": 0.0})])
async def test_never_approves_what_was_not_scored(scene: Scene, result: ScanResult) -> None:
    (outcome,) = await scene.outcomes(scene.scan(local(default=result)), scene.upload())
    assert outcome in {Outcome.UNSCANNABLE, Outcome.NEEDS_REVIEW}


async def test_the_same_event_always_gets_the_same_decision(scene: Scene) -> None:
    arrival = scene.arrival(scene.upload())
    (first,) = await scene.scan(local()).decide([arrival])
    (second,) = await scene.scan(local()).decide([arrival])
    assert first == second
    headers = dict(first.headers)
    assert arrival.event is not None
    assert headers["ce_causationid"] == arrival.event.id.encode()
    assert headers["traceparent"] == b"00-trace-01"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "object_changed"), (b"other bytes", "object_changed"), (b"same etag, longer", "size_mismatch")],
)
async def test_an_object_that_is_not_the_accepted_one_is_not_even_read(
    scene: Scene, content: bytes | None, reason: str
) -> None:
    event = scene.upload()
    place = event.data.bucket, event.data.key
    if content is None:
        del scene.store.objects[place]
    else:
        etag = scene.store.put(*place, content)
        if reason == "size_mismatch":
            data = event.data.model_copy(update={"etag": etag})
            event = Event(event.id, event.type, event.source, event.time, event.subject, data)
    scanner = local()

    (decided,) = await scene.decisions(scene.scan(scanner), event)

    assert (decided.outcome, decided.reasons) == (Outcome.UNSCANNABLE, (reason,))
    assert (scene.inspector.inspected, scanner.batches) == ([], [])


async def test_bytes_with_another_checksum_than_declared_are_not_approved(scene: Scene) -> None:
    (decided,) = await scene.decisions(scene.scan(local()), scene.upload(sha256="0" * 64))
    assert (decided.outcome, decided.reasons) == (Outcome.UNSCANNABLE, ("checksum_mismatch",))


@pytest.mark.usefixtures("no_backoff")
async def test_urls_are_signed_for_inside_and_outside_and_anew_at_every_try(scene: Scene) -> None:
    scanner = local(failures=[TransientError("unavailable")])
    event = scene.upload()
    await scene.decisions(scene.scan(scanner), event)
    first, second = (batch[0] for batch in scanner.batches)
    assert (first.etag, first.size) == (event.data.etag, event.data.size)
    assert event.data.key in first.url
    assert ["public=False" in first.url, "public=True" in first.public_url] == [True, True]
    assert len({first.url, first.public_url, second.url, second.public_url}) == 4


@pytest.mark.parametrize(("frames", "animated"), [(None, False), (7, True)])
async def test_scanners_are_told_what_is_animated(scene: Scene, frames: int | None, animated: bool) -> None:
    scanner = local(failures=[TransientError("unavailable")])
    scene.inspector.seen = SEEN.model_copy(update={"frames": frames})
    await scene.decisions(scene.scan(scanner), scene.upload())
    assert [batch[0].animated for batch in scanner.batches] == [animated] * 2


@pytest.mark.usefixtures("no_backoff")
async def test_waits_for_a_store_that_is_away_and_decides_nothing_meanwhile(scene: Scene) -> None:
    scanner = local()
    scene.inspector.failures = 2
    assert await scene.outcomes(scene.scan(scanner), scene.upload()) == [Outcome.APPROVED]
    assert len(scanner.batches) == 1


async def test_s3_is_asked_once_though_the_window_was_expected(scene: Scene) -> None:
    heads = CountedHeads([BUCKET])
    scene.store = heads
    scan = scene.scan(local())
    arrivals = [scene.arrival(scene.upload()) for _ in range(2)]
    scan.expect(arrivals)
    assert await scan.decide(arrivals)
    assert heads.asked == 2


async def test_what_s3_could_not_say_while_the_window_filled_is_asked_again(scene: Scene) -> None:
    scan = scene.scan(local())
    arrival = scene.arrival(scene.upload())
    scene.store.available = False
    scan.expect([arrival])
    assert arrival.head is not None
    await asyncio.wait({arrival.head})
    scene.store.available = True
    (record,) = await scan.decide([arrival])
    assert record.topic == scene.topics.approved.name


async def test_a_window_that_waits_says_so_until_it_goes_on(scene: Scene) -> None:
    asked = asyncio.Event()
    scanner = local(failures=[TransientError("unavailable")])

    async def note(batch: Sequence[ScanItem]) -> None:
        if len(scanner.batches) > 1:
            assert scan.not_ready == "images wait: 1 items are not judged: unavailable"
            asked.set()

    scanner._latency = note
    scan = scene.scan(scanner)
    assert scan.not_ready is None
    async with asyncio.timeout(DEADLINE):
        assert await scene.outcomes(scan, scene.upload()) == [Outcome.APPROVED]
    assert asked.is_set()
    assert scan.not_ready is None


async def test_a_window_that_is_given_up_while_it_waits_is_no_longer_waiting(scene: Scene) -> None:
    asked = asyncio.Event()

    async def never(batch: Sequence[ScanItem]) -> None:
        asked.set()
        raise TransientError("unavailable")

    scan = scene.scan(local(latency=never))
    deciding = asyncio.create_task(scene.outcomes(scan, scene.upload()))
    async with asyncio.timeout(DEADLINE):
        await asked.wait()
    deciding.cancel()
    await asyncio.wait({deciding}, timeout=DEADLINE)
    assert deciding.cancelled()
    assert scan.not_ready is None


async def test_the_shadow_policy_is_decided_alongside_and_only_recorded(scene: Scene) -> None:
    scene.shadow = Policy.model_validate(
        {"default": {"thresholds": {"nsfw": {"hold": 0.0, "reject": 0.005}}}}
    )
    (decided,) = await scene.decisions(scene.scan(local()), scene.upload())
    assert decided.outcome is Outcome.APPROVED
    assert decided.shadow is not None
    assert decided.shadow.outcome is Outcome.REJECTED
    assert decided.shadow.reasons == ("nsfw 0.010 >= reject 0.005",)
    assert decided.shadow.policy_version == scene.shadow.version != decided.policy_version


async def test_a_dead_letter_is_byte_identical_and_counts_its_attempts(scene: Scene) -> None:
    arrival = scene.received(
        b"key", b"\x00garbage", [("own", b"header"), ("dead-letter-attempts", b"2")], offset=41
    )
    (letter,) = await scene.scan(local()).decide([arrival])
    assert (letter.topic, letter.key, letter.value) == ("media.dead-letter", b"key", b"\x00garbage")
    headers = dict(letter.headers)
    assert headers["own"] == b"header"
    assert headers["dead-letter-topic"] == b"media.upload-completed.image"
    assert (headers["dead-letter-partition"], headers["dead-letter-offset"]) == (b"2", b"41")
    assert headers["dead-letter-attempts"] == b"3"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (upload(bucket="somebody-elses"), "source_bucket_not_allowed"),
        (upload(mime_type="video/mp4"), "wrong_topic"),
    ],
)
async def test_an_event_that_breaks_the_contract_is_a_fault(
    scene: Scene, event: Event[UploadCompleted], reason: str
) -> None:
    fault = scene.arrival(event).fault
    assert isinstance(fault, DeadLetterError)
    assert fault.reason == reason


async def test_a_tombstone_and_a_foreign_key_are_faults(scene: Scene) -> None:
    tombstone = scene.received(b"key", None).fault
    assert tombstone is not None
    assert tombstone.reason == "no_value"
    record = encode(upload(), "topic")
    foreign = scene.received(b"another", record.value, record.headers).fault
    assert foreign is not None
    assert foreign.reason == "key_mismatch"


async def test_an_arrival_knows_where_it_came_from(scene: Scene) -> None:
    event = upload()
    seen = scene.arrival(event)
    assert seen.tp == TP("media.upload-completed.image", 2)
    assert seen.size == event.data.size
    assert seen.event == event
