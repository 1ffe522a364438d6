"""How far groups are, and who reads what."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from mediagate.errors import ConfigurationError
from mediagate.offsets import Position
from mediagate.offsets.group import Membership, open_group
from mediagate.settings import GroupSettings
from mediagate.topics import Topics


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a group stands in every partition that it reads."""

    group: str
    membership: Membership
    positions: Mapping[TopicPartition, Position]

    @property
    def lag(self) -> int:
        """Events that are left to read."""
        return sum(position.lag for position in self.positions.values())


def own_groups(settings: GroupSettings, topics: Topics) -> dict[str, frozenset[str]]:
    """Mediagate's own groups, with the topics that their workers read as topics.yaml declares it."""
    processes = {"streams": settings.streams_group, "sinks": settings.sinks_group}
    return {
        group: frozenset(topic.name for topic in topics.all() if process in topic.consumers)
        for process, group in processes.items()
    }


async def progress_of(bootstrap_servers: str, name: str, declared: Collection[str]) -> Progress:
    """A group's progress on the declared topics, and on all that it has committed or is assigned."""
    async with open_group(bootstrap_servers, name) as group:
        membership = await group.membership()
        topics = {topic for topic, _ in {*await group.committed(), *membership.partitions()}}.union(declared)
        partitions = [partition for partition in await group.partitions() if partition.topic in topics]
        if not partitions:
            raise ConfigurationError(f"Kafka has no topic that group {name} reads")
        return Progress(name, membership, await group.positions(partitions))
