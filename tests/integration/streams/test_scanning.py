"""A window's way to its decisions, with a scripted scanner and inspector."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from mediagate.errors import DeadLetterError, StopError, TransientError
from mediagate.events import (
    Decision,
    Event,
    EventType,
    Inspection,
    Outcome,
    OutgoingRecord,
    UploadCompleted,
    decode,
    encode,
)
from mediagate.media import MediaType
from mediagate.policy import load_policy
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unscannable
from mediagate.storage import ObjectStore
from mediagate.testing.scanner import ScriptedScanner
from mediagate.topics import load_topics
from streams.arrivals import Arrival, receiver
from streams.scanning import WindowScan
from tests.uploads import NOW, upload

ROOT = Path(__file__).parents[3]
TOPICS = load_topics(ROOT / "topics.yaml")
POLICY = load_policy(ROOT / "policy.yaml")
SEEN = Inspection(mime_type="image/png", width=3, height=2)
receive = receiver(MediaType.IMAGE, frozenset({"media-temp"}))


class Urls:
    """The only part of an object store that a window scan uses."""

    def presign_get(self, bucket: str, key: str, expires: timedelta) -> str:
        return f"https://s3.invalid/{bucket}/{key}?{expires.total_seconds():.0f}"


class Inspector:
    """Sees a picture in everything but what is listed."""

    def __init__(self, unscannable: dict[str, str] | None = None, *, failures: int = 0) -> None:
        self._unscannable = unscannable or {}
        self._failures = failures

    async def inspect(self, items: Sequence[ScanItem]) -> Sequence[Inspection | Unscannable]:
        if self._failures:
            self._failures -= 1
            raise TransientError("S3 is away")
        return [
            Unscannable(self._unscannable[item.job_id]) if item.job_id in self._unscannable else SEEN
            for item in items
        ]


def arrival(event: Event[UploadCompleted]) -> Arrival:
    record = encode(event, TOPICS.upload_completed_image.name)
    return receive(consumed(record.key, record.value, record.headers), 1)


def consumed(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), offset: int = 7
) -> ConsumerRecord:
    record = ConsumerRecord(
        TOPICS.upload_completed_image.name, 2, offset, 0, 0, key, value, 0, 0, 0, tuple(headers)
    )
    return cast(ConsumerRecord, record)


def window_scan(scanner: ScriptedScanner, inspector: Inspector | None = None) -> WindowScan:
    store = cast(ObjectStore, Urls())
    return WindowScan(store, inspector or Inspector(), scanner, POLICY, TOPICS, now=lambda: NOW)


def decision(record: OutgoingRecord) -> Decision:
    return decode(
        record.key,
        record.value,
        record.headers,
        Decision,
        EventType.APPROVED,
        EventType.REJECTED,
        EventType.HELD,
    ).data


async def test_answers_every_upload_on_the_topic_of_its_outcome() -> None:
    safe, unsafe, unclear, damaged = (upload() for _ in range(4))
    scanner = ScriptedScanner(
        {unsafe.subject: Scanned({"nsfw": 0.9}), unclear.subject: Scanned({"nsfw": 0.7})}
    )
    scan = window_scan(scanner, Inspector({damaged.subject: "undecodable"}))
    records = await scan.decide([arrival(event) for event in (safe, unsafe, unclear, damaged)])
    assert [(record.topic, decision(record).outcome) for record in records] == [
        ("media.approved", Outcome.APPROVED),
        ("media.rejected", Outcome.REJECTED),
        ("media.held", Outcome.NEEDS_REVIEW),
        ("media.held", Outcome.UNSCANNABLE),
    ]
    assert [record.key for record in records] == [
        e.subject.encode() for e in (safe, unsafe, unclear, damaged)
    ]
    rejected = decision(records[1])
    assert rejected.scores == {"nsfw": 0.9}
    assert rejected.reasons == ("nsfw 0.900 >= reject 0.85",)
    assert (rejected.scanner, rejected.model_version) == ("scripted", "1")
    assert rejected.policy_version == POLICY.version
    assert rejected.inspection == SEEN
    assert decision(records[3]).reasons == ("undecodable",)


async def test_scans_only_what_was_understood() -> None:
    sound, damaged = upload(), upload()
    scanner = ScriptedScanner()
    await window_scan(scanner, Inspector({damaged.subject: "not_media"})).decide(
        [arrival(sound), arrival(damaged)]
    )
    assert [[item.job_id for item in batch] for batch in scanner.batches] == [[sound.subject]]


@pytest.mark.parametrize("result", [Unscannable("scan_timeout"), Scanned({}), Scanned({"unheard_of": 0.0})])
async def test_never_approves_what_was_not_scored(result: ScanResult) -> None:
    (record,) = await window_scan(ScriptedScanner(default=result)).decide([arrival(upload())])
    assert decision(record).outcome in {Outcome.UNSCANNABLE, Outcome.NEEDS_REVIEW}


async def test_the_same_event_always_gets_the_same_decision() -> None:
    event = upload()
    (first,) = await window_scan(ScriptedScanner()).decide([arrival(event)])
    (second,) = await window_scan(ScriptedScanner()).decide([arrival(event)])
    assert first == second
    headers = dict(first.headers)
    assert headers["ce_causationid"] == event.id.encode()
    assert headers["traceparent"] == b"00-trace-01"


async def test_waits_for_a_store_that_is_away_and_decides_nothing_meanwhile() -> None:
    scanner = ScriptedScanner()
    records = await window_scan(scanner, Inspector(failures=1)).decide([arrival(upload())])
    assert len(records) == len(scanner.batches) == 1


async def test_a_scanner_that_loses_items_stops_the_process() -> None:
    class Short(ScriptedScanner):
        async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
            return (await super().scan(items))[1:]

    with pytest.raises(StopError, match="0 results for 1 items"):
        await window_scan(Short()).decide([arrival(upload())])


async def test_a_dead_letter_is_byte_identical_and_counts_its_attempts() -> None:
    record = consumed(b"key", b"\x00garbage", [("own", b"header"), ("dead-letter-attempts", b"2")], offset=41)
    (letter,) = await window_scan(ScriptedScanner()).decide([receive(record, 1)])
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
def test_an_event_that_breaks_the_contract_is_a_fault(event: Event[UploadCompleted], reason: str) -> None:
    fault = arrival(event).fault
    assert isinstance(fault, DeadLetterError)
    assert fault.reason == reason


def test_a_tombstone_and_a_foreign_key_are_faults() -> None:
    tombstone = receive(consumed(b"key", None), 1).fault
    assert tombstone is not None
    assert tombstone.reason == "no_value"
    record = encode(upload(), "topic")
    foreign = receive(consumed(b"another", record.value, record.headers), 1).fault
    assert foreign is not None
    assert foreign.reason == "key_mismatch"


def test_an_arrival_knows_where_it_came_from() -> None:
    event = upload()
    seen = arrival(event)
    assert seen.tp == TP("media.upload-completed.image", 2)
    assert seen.size == event.data.size
    assert seen.event == event
