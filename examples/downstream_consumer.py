"""Keeps a table of Mediagate's latest news of each upload: downstream_consumer.py DATABASE TOPIC..."""

import asyncio
import json
import os
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer

KNOWN_TYPES = {"mediagate.published.v1", "mediagate.quarantined.v1"}
TABLES = "create table if not exists seen (ce_id text primary key);"
TABLES += "create table if not exists media (media_id text primary key, bucket text, key text, told real);"
LATEST = "insert or replace into media select :media_id, :bucket, :key, julianday(:ce_time) where not exists"
LATEST += " (select 1 from media where media_id = :media_id and told > julianday(:ce_time))"


async def consume(database: sqlite3.Connection, topics: list[str]) -> None:
    """Keeps an event's id and effect, then commits: what was not committed comes again, after a restart."""
    async with AIOKafkaConsumer(
        *topics,
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id="example-downstream",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as consumer:
        async for record in consumer:
            event = {name: text.decode() for name, text in record.headers}
            with database:  # one transaction: the event's id and its effect, or neither
                new = database.execute("insert or ignore into seen values (:ce_id)", event).rowcount
                if new and event["ce_type"] in KNOWN_TYPES:  # it may have fields that are not known yet
                    database.execute(LATEST, json.loads(record.value) | event)
            sys.stdout.write(f"{event['ce_type']} {record.key.decode()} {'new' if new else 'seen'}\n")
            await consumer.commit()


if __name__ == "__main__":
    sqlite = sqlite3.connect(sys.argv[1])
    sqlite.executescript(TABLES)
    asyncio.run(consume(sqlite, sys.argv[2:]))
