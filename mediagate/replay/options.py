"""The options of `mediagate replay` that say which events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from mediagate.errors import ConfigurationError
from mediagate.offsets import Rule, Selection, Since, to_latest, to_offset
from mediagate.offsets.arguments import parse_datetime, parse_topics
from mediagate.replay import STATES


@dataclass(frozen=True, slots=True)
class Wanted:
    """Partitions, where to begin and to end in each, and of which uploads."""

    partitions: Selection
    first: Rule | Since
    end: Rule | Since
    media_ids: frozenset[str]
    states: frozenset[str]
    limit: int | None
    rescan: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As they were given; each has the name of its option."""

    topic: Sequence[str] = ()
    partition: Sequence[int] = ()
    from_offset: int | None = None
    from_datetime: str | None = None
    to_offset: int | None = None
    to_datetime: str | None = None
    media_id: Sequence[str] = ()
    state: Sequence[str] = ()
    limit: int | None = None
    force_rescan: bool = False

    @property
    def given(self) -> list[str]:
        """Names of those that say what is replayed."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return [f"--{name.replace('_', '-')}" for name, value in values.items() if _is_given(value)]

    def wanted(self, replayed: Collection[str]) -> Wanted:
        """What they ask for; raises ConfigurationError that names the faulty option."""
        first = _bound("from", self.from_offset, self.from_datetime)
        if first is None:
            raise ConfigurationError(
                "exactly one of --from-offset, --from-datetime, or --resume: given is none"
            )
        return Wanted(
            self._partitions(replayed),
            first,
            _bound("to", self.to_offset, self.to_datetime) or to_latest,
            frozenset(map(_media_id, self.media_id)),
            frozenset(map(_state, self.state)),
            _at_least("--limit", self.limit, 1),
            self.force_rescan,
        )

    def _partitions(self, replayed: Collection[str]) -> Selection:
        if not self.topic:
            raise ConfigurationError("--topic: name at least one of " + ", ".join(replayed))
        selection: Mapping[str, frozenset[int]] = parse_topics(self.topic)
        if others := sorted(selection.keys() - set(replayed)):
            raise ConfigurationError(
                f"--topic: {', '.join(others)} cannot be replayed, only {', '.join(replayed)}: "
                "copies would be other decisions and other news. `mediagate offsets reset` has a group read "
                "any topic again"
            )
        if not self.partition:
            return selection
        if any(selection.values()):
            raise ConfigurationError("--partition and --topic TOPIC:0,1 exclude each other")
        numbers = frozenset(_at_least("--partition", number, 0) or 0 for number in self.partition)
        return dict.fromkeys(selection, numbers)


def parse_replay_id(text: str) -> UUID:
    """A replay's id."""
    try:
        return UUID(text)
    except ValueError as error:
        raise ConfigurationError(f"--resume: {text!r} is no replay's id") from error


def _bound(name: str, offset: int | None, instant: str | None) -> Rule | Since | None:
    if offset is not None and instant is not None:
        raise ConfigurationError(f"--{name}-offset and --{name}-datetime exclude each other")
    if instant is not None:
        return Since(parse_datetime(f"--{name}-datetime", instant))
    return None if offset is None else to_offset(_at_least(f"--{name}-offset", offset, 0) or 0)


def _media_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise ConfigurationError(f"--media-id: {text!r} is no media_id") from error


def _state(text: str) -> str:
    if text not in STATES:
        raise ConfigurationError(f"--state: {text!r} is none of {', '.join(STATES)}")
    return text


def _at_least(option: str, number: int | None, least: int) -> int | None:
    if number is not None and number < least:
        raise ConfigurationError(f"{option}: {number} is below {least}")
    return number


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != ()
