"""What the faults rely on: workers reach a service by its proxy, and by nothing else."""

import asyncio
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.stage import HOST, PATIENCE, Stage


async def test_the_broker_keeps_who_comes_by_the_proxy_on_it(stage: Stage) -> None:
    address = f"{HOST}:{stage.kafka.port}"
    assert stage.environment["KAFKA_BOOTSTRAP_SERVERS"] == address
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        (broker,) = (await admin.describe_cluster())["brokers"]
    finally:
        await admin.close()
    assert f"{broker['host']}:{broker['port']}" == address


async def test_what_s3_was_writing_when_it_was_killed_is_no_object(stage: Stage) -> None:
    """S3Proxy lists it under a name of its own."""
    bucket = stage.settings.temp_bucket
    url = urlsplit(
        stage.client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "uploads/one"})
    )
    _, s3 = await asyncio.open_connection(url.hostname, url.port)
    s3.write(
        f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 9\r\n\r\n12".encode()
    )
    async with asyncio.timeout(PATIENCE):
        while not (listed := stage.client.list_objects_v2(Bucket=bucket).get("Contents")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.to_thread(stage.stack.s3.kill)
    await asyncio.to_thread(stage.stack.s3.start)
    s3.close()

    assert [entry["Key"].startswith("uploads/one-") for entry in listed] == [True]
    assert not (await stage.evidence()).objects
