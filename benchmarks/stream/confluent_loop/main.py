"""confluent-kafka: windows of 50, flushed, then committed; `IN_FLIGHT=8`: so many, and a commit a second."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from benchmarks.stream.decision import headers_of, value_of

WINDOW = 50
WAIT = 1.0
COMMIT_EVERY = 1.0


@dataclass
class Window:
    """The uploads of one window, and how many of their decisions are not acknowledged yet."""

    topic: str
    uploads: Sequence[Any]
    waiting: int

    def acknowledged(self, error: KafkaError | None, _: Message) -> None:
        """Called once a decision; raises KafkaException where the broker has none of it."""
        if error is not None:
            raise KafkaException(error)
        self.waiting -= 1

    def end(self) -> list[TopicPartition]:
        """Where the next window starts."""
        ends = {each.partition(): each.offset() for each in self.uploads}
        return [TopicPartition(self.topic, number, offset + 1) for number, offset in ends.items()]


class Loop:
    """Windows that are published, oldest first, and how far the oldest have come."""

    def __init__(self, consumer: Consumer, producer: Producer, output: str, in_flight: int) -> None:
        self._consumer = consumer
        self._producer = producer
        self._output = output
        self._limit = in_flight
        self._commit_every = COMMIT_EVERY if in_flight > 1 else 0.0
        self._in_flight: deque[Window] = deque()
        self._done: dict[int, TopicPartition] = {}
        self._committed_at = time.monotonic()

    def run(self, told: Callable[[], bool]) -> None:
        """Decides until it is told to end."""
        while not told():
            found = self._consumer.consume(WINDOW, WAIT)
            for message in found:
                if (error := message.error()) is not None:
                    raise KafkaException(error)
            if found:
                self._publish(found)
            self._let_go(self._limit - 1 if found else 0)
            if self._done and time.monotonic() - self._committed_at >= self._commit_every:
                self._consumer.commit(offsets=list(self._done.values()), asynchronous=False)
                self._done, self._committed_at = {}, time.monotonic()

    def _publish(self, uploads: Sequence[Any]) -> None:
        window = Window(uploads[0].topic(), uploads, len(uploads))
        for upload in uploads:
            cause = dict(upload.headers())["ce_id"]
            self._producer.produce(
                self._output,
                value_of(upload.value()),
                upload.key(),
                headers=list(headers_of(cause, upload.key())),
                on_delivery=window.acknowledged,
            )
        self._in_flight.append(window)

    def _let_go(self, patient: int) -> None:
        if patient == 0:
            self._producer.flush()
        self._producer.poll(0)
        while self._in_flight:
            if self._in_flight[0].waiting == 0:
                self._done |= {end.partition: end for end in self._in_flight.popleft().end()}
            elif len(self._in_flight) > patient:
                self._producer.poll(WAIT)
            else:
                return


def main() -> None:
    """Decides until it is told to end."""
    told: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, on_signal)
    servers, topic, output, group = (os.environ[name] for name in ("SERVERS", "INPUT", "OUTPUT", "GROUP"))
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True})
    try:
        Loop(consumer, producer, output, int(os.environ["IN_FLIGHT"])).run(lambda: bool(told))
    finally:
        producer.flush()
        consumer.close()


if __name__ == "__main__":
    main()
