"""Logs of completed uploads as replays find them, and the copies that they leave."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from mediagate.events import Event, OutgoingRecord, UploadCompleted, encode
from mediagate.publisher import KafkaPublisher
from mediagate.replay.copies import SOURCE

PARTITIONS = 4
NOW = datetime(2030, 1, 1, tzinfo=UTC)
INSERT = """
    insert into media_jobs (media_id, user_id, file_name, file_size, mime_type, sha256, linked_to_type,
        linked_to_id, bucket, key, etag, checksum_verified, state, decision, created_at, queued_at)
    values ($1, 'user', $2, $3, $4, $5, 'post', '1', $6, $7, $8, $9, $10, $11, $12, $12)
"""
UNDECIDED = {"awaiting_upload", "queued", "expired"}


async def publish(servers: str, topic: str, events: Iterable[Event[UploadCompleted]]) -> None:
    """Events as their publishers write them."""
    await publish_records(servers, [encode(event, topic) for event in events])


async def publish_records(servers: str, records: Sequence[OutgoingRecord]) -> None:
    async with KafkaPublisher(servers, "test") as publisher:
        await publisher.publish(records)


async def insert(database: Any, upload: UploadCompleted, state: str, *, verified: bool = True) -> None:
    """The row of an upload in that state; with a decision where it has one then."""
    await database.execute(
        INSERT,
        upload.media_id,
        upload.file_name,
        upload.size,
        upload.mime_type,
        upload.sha256,
        upload.bucket,
        upload.key,
        upload.etag,
        verified,
        state,
        None if state in UNDECIDED else {"outcome": "held"},
        NOW,
    )


async def read(servers: str, topic: str) -> list[ConsumerRecord]:
    """All that is on a topic, partition by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for some in (await consumer.getmany(timeout_ms=500)).values():
                records += some
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: (record.partition, record.offset))


async def copies(servers: str, topic: str) -> list[ConsumerRecord]:
    """What replays have published there."""
    return [record for record in await read(servers, topic) if header(record, "ce_source") == SOURCE]


def header(record: ConsumerRecord, name: str) -> str:
    """A header's text."""
    return str(dict(record.headers).get(name, b"").decode())


def causes(records: Iterable[ConsumerRecord]) -> list[str]:
    """The ids of the events that these are copies of."""
    return [header(record, "ce_causationid") for record in records]


async def rows(url: str, statement: str) -> list[dict[str, Any]]:
    """What PostgreSQL says, json as Python values."""
    connection = await asyncpg.connect(url)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        return [dict(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
