"""What setting a consumer group's offsets does, by kafka-consumer-groups' rules; nothing here asks Kafka."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from mediagate.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Position:
    """The ends of a partition's log, and the offset that a group has committed."""

    committed: int | None
    beginning: int
    end: int

    @property
    def next(self) -> int:
        """The offset that is read next; the beginning where nothing is committed, as workers have it."""
        return self.clamped(self.beginning if self.committed is None else self.committed)

    @property
    def lag(self) -> int:
        """Events that are left to read."""
        return self.end - self.next

    def clamped(self, offset: int) -> int:
        """The nearest offset that the log has."""
        return min(max(offset, self.beginning), self.end)


@dataclass(frozen=True, slots=True)
class Move:
    """One partition's way to a wanted offset, or to the end of the log that is nearest to it."""

    partition: TopicPartition
    position: Position
    wanted: int

    @property
    def new(self) -> int:
        """The offset to commit."""
        return self.position.clamped(self.wanted)

    @property
    def read_again(self) -> int:
        """Events that were read and will be once more."""
        return max(0, self.position.next - self.new)

    @property
    def skipped(self) -> int:
        """Events that were not read and will not be."""
        return max(0, self.new - self.position.next)

    def warning(self) -> str | None:
        """Says that the log does not have the wanted offset."""
        if self.wanted == self.new:
            return None
        where = "after the log's end" if self.wanted > self.new else "before the log's beginning"
        return f"{shown(self.partition)}: offset {self.wanted} is {where}, {self.new} is taken"


Rule = Callable[[TopicPartition, Position], int]
"""Which offset is wanted; it may lie outside the log."""


def to_earliest(_: TopicPartition, position: Position) -> int:
    """The log's first offset."""
    return position.beginning


def to_latest(_: TopicPartition, position: Position) -> int:
    """The log's end: only what comes from now on is read."""
    return position.end


def to_current(_: TopicPartition, position: Position) -> int:
    """The committed offset; the log's end where nothing is committed."""
    return position.end if position.committed is None else position.committed


def to_offset(offset: int) -> Rule:
    """The same offset in every partition."""
    return lambda _, position: offset


def to_each(offsets: Mapping[TopicPartition, int]) -> Rule:
    """An offset of its own for every partition."""
    return lambda partition, position: offsets[partition]


def shift_by(count: int) -> Rule:
    """Forwards, or with a negative count backwards, from the committed offset."""

    def shifted(partition: TopicPartition, position: Position) -> int:
        if position.committed is None:
            raise ConfigurationError(f"--shift-by: the group has committed no offset of {shown(partition)}")
        return position.committed + count

    return shifted


def plan(rule: Rule, positions: Mapping[TopicPartition, Position]) -> list[Move]:
    """Where each partition's offset goes, in the order of topics and partitions."""
    return [
        Move(partition, position, rule(partition, position))
        for partition, position in sorted(positions.items())
    ]


@dataclass(frozen=True, slots=True)
class Since:
    """Wants the first event of a time, which only Kafka can turn into offsets."""

    milliseconds: int


Selection = Mapping[str, frozenset[int]]
"""Partitions by topic; none is all of them."""


def select(selection: Selection, existing: Iterable[TopicPartition]) -> list[TopicPartition]:
    """The selected ones of existing partitions; raises ConfigurationError that names a missing one."""
    partitions: dict[str, set[int]] = {}
    for topic, number in existing:
        partitions.setdefault(topic, set()).add(number)
    for topic, wanted in selection.items():
        if topic not in partitions:
            raise ConfigurationError(f"Kafka has no topic {topic}")
        if missing := sorted(wanted - partitions[topic]):
            last = max(partitions[topic])
            raise ConfigurationError(f"topic {topic} has partitions 0 to {last}, and no {missing[0]}")
    return [
        TopicPartition(topic, number)
        for topic, wanted in selection.items()
        for number in sorted(wanted or partitions[topic])
    ]


def shown(partition: TopicPartition) -> str:
    """A partition as `--topic` takes it."""
    return f"{partition.topic}:{partition.partition}"
