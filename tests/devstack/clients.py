"""One write and one read on each service."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import boto3
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from botocore.config import Config

from devstack import Endpoints

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEADLINE = 30.0


async def create_topic(endpoints: Endpoints, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=endpoints.kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(endpoints: Endpoints, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=endpoints.kafka_bootstrap_servers, acks="all")
    await producer.start()
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value, partition=0), DEADLINE)
    finally:
        await producer.stop()


async def first_record(endpoints: Endpoints, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=endpoints.kafka_bootstrap_servers)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        record = await asyncio.wait_for(consumer.getone(), DEADLINE)
        value: bytes | None = record.value
        return value
    finally:
        await consumer.stop()


async def query(endpoints: Endpoints, statement: str, *arguments: str) -> object:
    connection = await asyncpg.connect(endpoints.database_url, timeout=DEADLINE)
    try:
        return await connection.fetchval(statement, *arguments, timeout=DEADLINE)
    finally:
        await connection.close()


def s3_client(endpoints: Endpoints, secret: str | None = None) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoints.s3_endpoint_url,
        region_name=endpoints.s3_region,
        aws_access_key_id=endpoints.s3_access_key_id,
        aws_secret_access_key=secret or endpoints.s3_secret_access_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
