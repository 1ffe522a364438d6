"""Which events a replay takes, and what it would do with them; nothing here asks anybody."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from aiokafka import TopicPartition

from mediagate.jobs import State
from mediagate.offsets import shown

UNKNOWN = "unknown"
"""The state of an upload that has no row: an upstream service's that is not decided yet."""
STATES = (*State, UNKNOWN)


class LeftOut(StrEnum):
    """Why an event is not replayed, although it was asked for; faults of contract have names of their own."""

    COPY = "copy"
    RESCAN = "rescan"
    OVERRIDDEN = "overridden"
    OBJECT_GONE = "object_gone"
    OBJECT_DIFFERS = "object_differs"


EXPLAINED: Mapping[str, str] = {
    LeftOut.COPY: "a replay's own copy",
    LeftOut.RESCAN: "an order to scan again",
    LeftOut.OVERRIDDEN: "a human has decided",
    LeftOut.OBJECT_GONE: "the object is gone",
    LeftOut.OBJECT_DIFFERS: "the object is not the upload's",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a partition, from `first` to before `end`."""

    partition: TopicPartition
    first: int
    end: int

    @property
    def events(self) -> int:
        """Most events that it can hold."""
        return max(0, self.end - self.first)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be replayed; no media_ids and no states are all of them."""

    spans: tuple[Span, ...]
    media_ids: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    limit: int | None = None
    rescan: bool = False

    @property
    def events(self) -> int:
        """Most events that are to be read."""
        return sum(span.events for span in self.spans)

    def wants(self, media_id: str) -> bool:
        """Whether the upload may be among them."""
        return not self.media_ids or media_id in self.media_ids

    def wants_state(self, state: str) -> bool:
        """Whether uploads in that state may be."""
        return not self.states or state in self.states

    def left(self, reached: Mapping[str, int], published: int) -> "Selection":
        """What is left of it once so many are published, and partitions are read to before these offsets."""
        spans = tuple(
            replace(span, first=reached.get(shown(span.partition), span.first)) for span in self.spans
        )
        return replace(self, spans=spans, limit=None if self.limit is None else self.limit - published)


@dataclass(slots=True)
class Tally:
    """What a replay would do, counted while it is selected: events, not uploads."""

    selected: Counter[TopicPartition] = field(default_factory=Counter)
    left_out: Counter[TopicPartition] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    """Selected, by their upload's state; so are the rest."""
    settled: Counter[str] = field(default_factory=Counter)
    """Answered with the decision that there is: they change nothing."""
    scans: Counter[str] = field(default_factory=Counter)
    """To be scanned, at most."""
    known: Counter[str] = field(default_factory=Counter)
    """To be decided by a verdict that is kept."""

    def leave_out(self, partition: TopicPartition, offset: int, reason: str) -> None:
        """Counts an event that is not replayed, and names the first of its kind."""
        self.left_out[partition] += 1
        self.reasons[reason] += 1
        self.examples.setdefault(reason, f"{shown(partition)}:{offset}")
