"""A streams worker with a scripted decision, to be killed: says on standard output how far it is.

Arguments: settings as JSON, seconds that a window takes, session timeout in seconds.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mediagate.events import OutgoingRecord
from mediagate.process import run_process
from mediagate.publisher import KafkaPublisher
from mediagate.settings import StreamsSettings
from mediagate.topics import load_topics
from streams.arrivals import Arrival
from streams.batcher import Batcher
from streams.worker import StreamsWorker
from workers import app


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


class TalkingBatcher(Batcher):
    def put(self, arrivals: Sequence[Arrival]) -> None:
        super().put(arrivals)
        say("arrived")


async def main(stop: asyncio.Event) -> None:
    settings = StreamsSettings.model_validate(json.loads(sys.argv[1]))
    topics = load_topics(settings.topics_file)

    async def decide(arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        say("scanning")
        await asyncio.sleep(float(sys.argv[2]))
        say("scanned")
        return [
            OutgoingRecord(topics.approved.name, arrival.event.subject.encode(), b"{}", [])
            for arrival in arrivals
            if arrival.event is not None
        ]

    with TemporaryDirectory() as scratch:
        async with KafkaPublisher(settings.kafka_bootstrap_servers, "test") as publisher:
            await StreamsWorker(settings, topics, publisher, decide, Path(scratch)).run(stop)


if __name__ == "__main__":
    app.SESSION_TIMEOUT = float(sys.argv[3])
    sys.modules["streams.worker"].Batcher = TalkingBatcher  # type: ignore[attr-defined]
    sys.exit(run_process("streams", main))
