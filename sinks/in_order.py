"""Which arrivals may be acknowledged: only those before which their partition has nothing unfinished."""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class Arrival(Generic[Item]):
    """One item in its partition's queue."""

    partition: Hashable
    item: Item
    finished: bool = False


class InOrder(Generic[Item]):
    """Remembers arrivals per partition and hands them back in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Arrival[Item]]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def arrive(self, partition: Hashable, item: Item) -> Arrival[Item]:
        """Takes an item that stands behind all earlier ones of its partition."""
        arrival = Arrival(partition, item)
        self._waiting.setdefault(partition, deque()).append(arrival)
        return arrival

    def finish(self, arrival: Arrival[Item]) -> Sequence[Item]:
        """The items, oldest first, that may be acknowledged now; none where it was forgotten meanwhile."""
        arrival.finished = True
        queue = self._waiting.get(arrival.partition, deque())
        ready = []
        while queue and queue[0].finished:
            ready.append(queue.popleft().item)
        return ready

    def forget(self) -> None:
        """Drops everything: the partitions may be another's now."""
        self._waiting.clear()
