"""What the faults rely on: workers reach a service by its proxy, and by nothing else."""

from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.stage import HOST, Stage


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
