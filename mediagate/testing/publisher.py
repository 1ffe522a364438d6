"""A Publisher that keeps its records."""

from collections.abc import Iterable, Sequence

from mediagate.errors import TransientError
from mediagate.events import OutgoingRecord


class InMemoryPublisher:
    """A Publisher whose topics are lists; `available = False` is a broker that is away."""

    def __init__(self, topics: Iterable[str] | None = None) -> None:
        """Knows these topics alone, or any topic where none are given."""
        self._topics = None if topics is None else frozenset(topics)
        self.available = True
        self.records: list[OutgoingRecord] = []

    async def publish(self, records: Sequence[OutgoingRecord]) -> None:
        """Keeps all records in order; raises TransientError where the broker is away or lacks a topic."""
        if not self.available:
            raise TransientError("the broker is away")
        for record in records:
            if self._topics is not None and record.topic not in self._topics:
                raise TransientError(f"there is no topic {record.topic}")
        self.records.extend(records)

    def of_topic(self, topic: str) -> list[OutgoingRecord]:
        """The records of one topic, oldest first."""
        return [record for record in self.records if record.topic == topic]
