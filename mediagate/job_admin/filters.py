"""The options of `mediagate jobs list` that say which jobs are meant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mediagate.errors import ConfigurationError
from mediagate.job_admin import WAITING
from mediagate.jobs import State
from mediagate.media import MediaType
from mediagate.offsets.arguments import parse_duration, parse_when


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which jobs are meant: those that all of it fits; `before`, when they came into their state."""

    states: frozenset[State]
    media_type: MediaType | None
    user_id: str | None
    since: datetime | None
    until: datetime | None
    before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As they were given; each has the name of its option."""

    state: Sequence[State]
    media_type: MediaType | None
    user_id: str | None
    since: str | None
    until: str | None
    older_than: str | None
    every: bool

    def filters(self, now: datetime) -> Filters:
        """What they say; raises ConfigurationError that names the faulty option."""
        if self.state and self.every:
            raise ConfigurationError("--state and --all exclude each other")
        return Filters(
            states=frozenset(self.state) or (frozenset(State) if self.every else WAITING),
            media_type=self.media_type,
            user_id=self.user_id,
            since=parse_when("--since", self.since, now),
            until=parse_when("--until", self.until, now),
            before=self._before(now),
        )

    def _before(self, now: datetime) -> datetime | None:
        if self.older_than is None:
            return None
        try:
            return now - parse_duration("--older-than", self.older_than)
        except OverflowError as error:
            raise ConfigurationError(f"--older-than: {self.older_than!r} is before year 1") from error
