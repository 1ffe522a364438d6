"""The cap on dead letters in the sinks: the process ends, and so does the next, until it is resumed."""

from mediagate.events import Outcome
from mediagate.topics import Topics
from tests.dead_letters import size
from tests.integration.sinks.kafka import Kafka
from tests.integration.sinks.scene import Scene, decision
from tests.services import Services
from tests.worker_process import Worker

CAP = {"DEAD_LETTER_WINDOW": "10", "DEAD_LETTER_SHARE": "0.5", "SINKS_CONCURRENCY": "1"}
POISON = 25


async def test_a_topic_of_poison_ends_the_process_until_an_operator_resumes_it(
    scene: Scene, kafka: Kafka, sinks: Worker, services: Services, topics: Topics
) -> None:
    name, servers = topics.approved.name, services.kafka_bootstrap_servers
    for number in range(POISON):
        await kafka.send(name, b"key", b"%d" % number)

    for _ in range(2):
        async with sinks.running(**CAP) as process:
            code, output = await process.ended()
        assert code == 1
        assert (
            f"mediagate sinks: {name}, partition 0: 100% of the last 10 records were dead letters: see"
            f" `mediagate dlq list`, then `mediagate brakes resume {name} dead_letter`" in output
        )
        assert await size(servers, topics.dead_letter.name) == 9

    await scene.pool.execute("update brakes set resumed_at = now()")
    held = decision(scene.upload(), Outcome.NEEDS_REVIEW)
    await kafka.decide([held])
    async with sinks.running(**CAP | {"DEAD_LETTER_SHARE": "1"}):
        await kafka.settled()
    assert await scene.state(held.data.media_id) == "needs_review"
    assert await size(servers, topics.dead_letter.name) == POISON
