"""The options of `mediagate dlq` that say which letters are meant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mediagate.dead_letter_queue import Filters, Position, parse_position
from mediagate.errors import ConfigurationError
from mediagate.offsets.arguments import parse_when

RATE = re.compile(r"([1-9][0-9]{0,5})(?:/s)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As they were given; each has the name of its option."""

    positions: Sequence[str] = ()
    reason: Sequence[str] = ()
    topic: str | None = None
    since: str | None = None
    until: str | None = None
    media_id: UUID | None = None
    every: bool = False

    def filters(self, now: datetime) -> Filters:
        """What the filters say; raises ConfigurationError that names the faulty option."""
        return Filters(
            reasons=frozenset(self.reason),
            topic=self.topic,
            since=parse_when("--since", self.since, now),
            until=parse_when("--until", self.until, now),
            media_id=str(self.media_id) if self.media_id else None,
        )

    def selection(self, now: datetime) -> Sequence[Position] | Filters:
        """Positions, or filters; raises ConfigurationError unless exactly one kind of them is given."""
        filters = self.filters(now)
        if [bool(self.positions), filters != Filters(), self.every].count(True) != 1:
            raise ConfigurationError(
                "say which letters: PARTITION:OFFSET …, or filters (--reason, --topic, --since, --until,"
                " --media-id), or --all"
            )
        return list(dict.fromkeys(map(parse_position, self.positions))) or filters


def parse_rate(text: str | None) -> int | None:
    """So many a second, as `50/s` or `50`."""
    if text is None:
        return None
    match = RATE.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"--rate: {text!r} is no rate such as 50/s")
    return int(match[1])
