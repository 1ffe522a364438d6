"""Dead letters as operators handle them: where each came from, why, and which of them are meant; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from aiokafka.structs import ConsumerRecord

from mediagate.binary_mode import Header
from mediagate.dead_letters import PREFIX
from mediagate.errors import ConfigurationError
from mediagate.events import OutgoingRecord
from mediagate.printable import printable, shortened
from mediagate.topics import Topic, Topics

POSITION = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MILLISECOND = 253_402_300_799_999
"""Of year 9999."""
LONGEST_NAME = 300
UNKNOWN = "?"


class State(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a record stands in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the dead-letter topic; what its own headers say is made printable, and may be false."""

    position: Position
    at: datetime
    origin_topic: str
    origin: str
    reason: str
    error: str
    attempts: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]

    @property
    def original_headers(self) -> list[Header]:
        """The headers with which it arrived, before it became a dead letter."""
        return [header for header in self.headers if not header[0].startswith(PREFIX)]

    def restored(self, topic: str) -> OutgoingRecord:
        """The record as it arrived, byte for byte."""
        return OutgoingRecord(topic, self.key, self.value, self.original_headers)

    def without_content(self) -> "Letter":
        """The same without what may be large."""
        return replace(self, key=None, value=None, headers=())


def letter_of(record: ConsumerRecord) -> Letter:
    """The dead letter in any record of the topic; nobody keeps others from writing there."""
    said = {name: content or b"" for name, content in record.headers if name.startswith(PREFIX)}
    texts = {name.removeprefix(PREFIX): content.decode(errors="replace") for name, content in said.items()}
    topic, partition, offset, reason = (
        shortened(printable(texts.get(name) or UNKNOWN), LONGEST_NAME)
        for name in ("topic", "partition", "offset", "reason")
    )
    attempts = texts.get("attempts", "")
    return Letter(
        Position(record.partition, record.offset),
        EPOCH + timedelta(milliseconds=min(max(record.timestamp, 0), LAST_MILLISECOND)),
        topic,
        f"{topic}:{partition}:{offset}",
        reason,
        printable(texts.get("error", "")),
        int(attempts) if re.fullmatch("[0-9]{1,9}", attempts) else 1,
        record.key,
        record.value,
        tuple(record.headers),
    )


def parse_position(text: str) -> Position:
    """A position as PARTITION:OFFSET; raises ConfigurationError where it is none."""
    match = POSITION.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r} is no PARTITION:OFFSET such as 2:17")
    return Position(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which letters are meant: those that all of it fits."""

    reasons: frozenset[str] = frozenset()
    topic: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    media_id: str | None = None

    def fit(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.topic is None or letter.origin_topic == self.topic)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (self.media_id is None or self._names(self.media_id.encode(), letter))
        )

    def _names(self, media_id: bytes, letter: Letter) -> bool:
        # Bytes, not fields: who asks for an upload wants its damaged records above all.
        return media_id in (letter.key or b"") or media_id in (letter.value or b"")


def ways_back(topics: Topics) -> frozenset[str]:
    """Topics that a letter may be sent to: those that the workers read, whatever its headers say."""
    return frozenset(topic.name for topic in topics.all() if _is_read(topic))


def _is_read(topic: Topic) -> bool:
    return not {"streams", "sinks"}.isdisjoint(topic.consumers)
