"""Checks where uploads ended, by S3, PostgreSQL and Kafka themselves rather than by what Mediagate says."""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import boto3
from aiokafka import AIOKafkaConsumer, TopicPartition
from botocore.client import Config
from botocore.exceptions import ClientError

from devstack.demo.client import Upload
from mediagate.jobs import State
from mediagate.topics import Topics

READ_DEADLINE = 30.0


class Evidence:
    """An independent look at the three services, with nothing but .devstack/env."""

    def __init__(self, environment: Mapping[str, str], topics: Topics, quarantine_bucket: str) -> None:
        self._environment = environment
        self._topics = topics
        self._quarantine_bucket = quarantine_bucket
        self._starts: dict[TopicPartition, int] = {}
        self._s3 = boto3.client(
            "s3",
            endpoint_url=environment["S3_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
            config=Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required"),
        )

    async def remember_offsets(self) -> None:
        """Notes where the topics end now: only what comes later is this run's."""
        async with self._consumer() as consumer:
            self._starts = await consumer.end_offsets(await self._partitions(consumer))

    async def faults(self, upload: Upload, answer: Mapping[str, Any]) -> list[str]:
        """What is not as it should be with an upload that has ended."""
        state, case = State(answer["state"]), upload.case
        if state not in case.ends:
            return [f"{case.title}: {case.file.name} is {state}, not {' or '.join(case.ends)}"]
        if state is State.PUBLISHED:
            return await asyncio.to_thread(
                self._object_faults, upload, answer["item"]["bucket"], answer["item"]["key"]
            )
        if state is State.QUARANTINED:
            faults = await asyncio.to_thread(
                self._object_faults, upload, self._quarantine_bucket, upload.media_id
            )
            return faults + await self._report_faults(upload)
        return []

    async def published_at(self) -> dict[str, datetime]:
        """When the broker took each media.published event of this run, by media_id."""
        return {
            (record.key or b"").decode(): datetime.fromtimestamp(record.timestamp / 1000).astimezone()
            for record in await self._records(self._topics.published.name)
        }

    async def dead_letters(self) -> int:
        """Dead letters of this run."""
        return len(await self._records(self._topics.dead_letter.name))

    def _object_faults(self, upload: Upload, bucket: str, key: str) -> list[str]:
        place = f"{upload.case.title}: {bucket}/{key}"
        try:
            content = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            return [f"{place}: {error.response['Error']['Code']}"]
        same = hashlib.sha256(content).digest() == hashlib.sha256(upload.case.file.content).digest()
        return [] if same else [f"{place}: not the bytes that were uploaded"]

    async def _report_faults(self, upload: Upload) -> list[str]:
        connection = await asyncpg.connect(self._environment["DATABASE_URL"])
        try:
            query = "select count(*) from system_reports where media_id = $1"
            reports = await connection.fetchval(query, upload.media_id)
        finally:
            await connection.close()
        return [] if reports == 1 else [f"{upload.case.title}: {reports} rows in system_reports"]

    async def _records(self, topic: str) -> list[Any]:
        async with self._consumer() as consumer:
            partitions = [tp for tp in self._starts if tp.topic == topic]
            ends = await consumer.end_offsets(partitions)
            unread = {tp for tp in partitions if ends[tp] > self._starts[tp]}
            consumer.assign(partitions)
            for tp in partitions:
                consumer.seek(tp, self._starts[tp])
            records: list[Any] = []
            async with asyncio.timeout(READ_DEADLINE):
                while unread:
                    for tp, batch in (await consumer.getmany(timeout_ms=500)).items():
                        records += batch
                        if batch[-1].offset + 1 >= ends[tp]:
                            unread.discard(tp)
        return records

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        topics = [self._topics.published, self._topics.dead_letter]
        return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._environment["KAFKA_BOOTSTRAP_SERVERS"], enable_auto_commit=False
        )
