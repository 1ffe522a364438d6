"""The broker's side of the model: logs, decisions, committed offsets and the group's generation."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from faust.types import TP

Place = tuple[TP, int]
"""A record: its partition and offset."""


@dataclass(eq=False)
class Tenure:
    """A worker's time with its partitions: from an assignment to the end of the release."""

    generation: int
    start: Mapping[TP, int]
    closing: bool = False
    over: bool = False
    scanned: set[Place] = field(default_factory=set)
    written: Counter[Place] = field(default_factory=Counter)
    lost: Counter[Place] = field(default_factory=Counter)
    acknowledged: set[Place] = field(default_factory=set)


class Group:
    """One topic and one consumer group. What breaks a promise is kept in `violations`."""

    def __init__(self, partitions: Sequence[TP]) -> None:
        self.sizes: dict[TP, list[int]] = {tp: [] for tp in partitions}
        self.committed = dict.fromkeys(partitions, 0)
        self.generation = 0
        self.acknowledged: set[Place] = set()
        self.violations: list[str] = []

    @property
    def lag(self) -> int:
        """Records that are not committed."""
        return sum(len(sizes) - self.committed[tp] for tp, sizes in self.sizes.items())

    def require(self, held: bool, promise: str) -> None:
        """Notes a promise that was not held."""
        if not held:
            self.violations.append(promise)

    def records(self) -> Iterator[Place]:
        """Every record."""
        for tp, sizes in self.sizes.items():
            for offset in range(len(sizes)):
                yield tp, offset

    def write(self, tenure: Tenure, places: Iterable[Place]) -> None:
        """Stores decisions; within a tenure a second one of the same record needs a lost reply."""
        for place in places:
            tenure.written[place] += 1
            self.require(
                tenure.written[place] <= 1 + tenure.lost[place],
                f"{_name(place)}: decided again without a reason",
            )

    def acknowledge(self, tenure: Tenure, places: Iterable[Place]) -> None:
        """A worker learns that these decisions are stored."""
        places = set(places)
        tenure.acknowledged |= places
        self.acknowledged |= places

    def commit(self, generation: int, positions: Mapping[TP, int]) -> bool:
        """Stores next offsets; False where the group has moved on."""
        if generation != self.generation:
            return False
        for tp, position in positions.items():
            self.require(
                position >= self.committed[tp], f"{tp.partition}: committed {position}, which is backwards"
            )
            self.committed[tp] = position
        self.check_offsets()
        return True

    def check_offsets(self) -> None:
        """Nothing below a committed offset is without an acknowledged decision."""
        for tp, position in self.committed.items():
            self.require(position <= len(self.sizes[tp]), f"{tp.partition}: committed beyond its end")
            for offset in range(position):
                self.require(
                    (tp, offset) in self.acknowledged,
                    f"{tp.partition}: committed {position}, but {offset} has no acknowledged decision",
                )


def _name(place: Place) -> str:
    tp, offset = place
    return f"{tp.partition}/{offset}"
