"""Tells Mediagate of a file that stands in S3 already: upstream_publisher.py TOPIC FILE BUCKET KEY ETAG."""

import asyncio
import hashlib
import json
import mimetypes
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from aiokafka import AIOKafkaProducer


async def publish(topic: str, file: Path, content: bytes, bucket: str, key: str, etag: str) -> None:
    """One event; sent again after a failure it is the same one, for its ids come from the object's place."""
    media_id = str(uuid5(NAMESPACE_URL, f"s3://{bucket}/{key}"))
    now = datetime.now(UTC).isoformat()
    upload = {"media_id": media_id, "bucket": bucket, "key": key, "etag": etag, "size": len(content)}
    upload |= {"sha256": hashlib.sha256(content).hexdigest(), "mime_type": mimetypes.guess_type(file)[0]}
    upload |= {"user_id": "u1", "linked_to_type": "post", "linked_to_id": "p1"}
    upload |= {"file_name": file.name, "occurred_at": now}
    attributes = {"specversion": "1.0", "id": media_id, "type": "mediagate.upload-completed.v1"}
    attributes |= {"source": "/example/upstream", "time": now, "subject": media_id}
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    headers.append(("content-type", b"application/json"))
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, json.dumps(upload).encode(), media_id.encode(), headers=headers)
    sys.stdout.write(f"{media_id}\n")


if __name__ == "__main__":
    path = Path(sys.argv[2])
    asyncio.run(publish(sys.argv[1], path, path.read_bytes(), *sys.argv[3:6]))
