"""Keeps a table of Mediagate's news, each event once: downstream_consumer.py DATABASE TOPIC..."""

import asyncio
import json
import os
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer

KNOWN_TYPES = {"mediagate.published.v1", "mediagate.quarantined.v1"}
TABLES = "create table if not exists seen (ce_id text primary key);"
TABLES += "create table if not exists media (media_id text, bucket text, key text);"


async def consume(database: sqlite3.Connection, topics: list[str]) -> None:
    """Keeps an event's id and effect, then commits: what was not committed comes again, after a restart."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id="example-downstream",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        async for record in consumer:
            ce_id, ce_type = (dict(record.headers)[name].decode() for name in ("ce_id", "ce_type"))
            with database:  # one transaction: the event's id and its effect, or neither
                new = database.execute("insert or ignore into seen values (?)", [ce_id]).rowcount
                if new and ce_type in KNOWN_TYPES:
                    media = json.loads(record.value)  # may have fields that are not known yet
                    database.execute("insert into media values (:media_id, :bucket, :key)", media)
            sys.stdout.write(f"{ce_type} {record.key.decode()} {'new' if new else 'seen'}\n")
            await consumer.commit()


if __name__ == "__main__":
    sqlite = sqlite3.connect(sys.argv[1])
    sqlite.executescript(TABLES)
    asyncio.run(consume(sqlite, sys.argv[2:]))
