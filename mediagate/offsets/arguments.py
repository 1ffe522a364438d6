"""What the options of `mediagate offsets reset` and its CSV files say; a fault is one line that names it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from aiokafka import TopicPartition

from mediagate.datetimes import parse_instant
from mediagate.errors import ConfigurationError
from mediagate.offsets import Move, Selection, shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOPIC = r"[a-zA-Z0-9._-]{1,249}"
NUMBER = r"[0-9]{1,19}"
SELECTED = re.compile(rf"(?P<topic>{TOPIC})(?::(?P<partitions>{NUMBER}(?:,{NUMBER})*))?")
DURATION = re.compile(
    r"P(?=[0-9T])(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?"
)


def parse_topics(values: Iterable[str]) -> Selection:
    """Topics as `topic` or `topic:0,1`; the same topic may be named more than once."""
    selection: dict[str, frozenset[int]] = {}
    for value in values:
        match = SELECTED.fullmatch(value)
        if match is None:
            raise ConfigurationError(f"--topic: {value!r} is neither topic nor topic:0,1")
        topic, listed = match["topic"], match["partitions"]
        numbers = frozenset(map(int, listed.split(","))) if listed else frozenset()
        before = selection.get(topic, numbers)
        # No number stands for all of them, whatever else is named.
        selection[topic] = before | numbers if before and numbers else frozenset()
    return selection


def parse_datetime(option: str, text: str) -> int:
    """A datetime's first millisecond since 1970, UTC where it names no zone."""
    return milliseconds(parse_instant(option, text))


def parse_duration(option: str, text: str) -> timedelta:
    """An ISO 8601 duration of days, hours, minutes and seconds."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{option}: {text!r} is no duration such as P1DT2H30M")
    parts = {name: float(number) for name, number in match.groupdict().items() if number}
    return timedelta(**parts)


def parse_when(option: str, text: str | None, now: datetime) -> datetime | None:
    """A datetime, or a duration until now."""
    if text is None:
        return None
    if not text.startswith("P"):
        return parse_instant(option, text)
    try:
        return now - parse_duration(option, text)
    except OverflowError as error:
        raise ConfigurationError(f"{option}: {text!r} is before year 1") from error


def before(now: datetime, duration: timedelta) -> int:
    """The first millisecond, since 1970, of a duration that ends now."""
    return max(0, milliseconds(now) - duration // timedelta(milliseconds=1))


def milliseconds(instant: datetime) -> int:
    """Milliseconds from 1970 to an instant, rounded up; Kafka knows nothing before."""
    return max(0, -((EPOCH - instant) // timedelta(milliseconds=1)))


def read_csv(lines: Iterable[str], name: str, group: str) -> Mapping[TopicPartition, int]:
    """Offsets from lines `topic,partition,offset`, or with `group` before them: then only the group's own."""
    offsets: dict[TopicPartition, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        *of_group, topic, partition, offset = _fields(line.rstrip("\r\n").split(","), where)
        if of_group and of_group != [group]:
            continue
        key = TopicPartition(topic, int(partition))
        if key in offsets:
            raise ConfigurationError(f"{where}: {shown(key)} is there twice")
        offsets[key] = int(offset)
    if not offsets:
        raise ConfigurationError(f"{name}: no offsets of group {group}")
    return offsets


def _fields(row: list[str], where: str) -> list[str]:
    if len(row) not in (3, 4):
        raise ConfigurationError(f"{where}: not topic,partition,offset or group,topic,partition,offset")
    topic, *numbers = row[-3:]
    if not re.fullmatch(TOPIC, topic):
        raise ConfigurationError(f"{where}: topic: {topic!r} is no topic's name")
    for field, number in zip(("partition", "offset"), numbers, strict=True):
        if not re.fullmatch(NUMBER, number):
            raise ConfigurationError(f"{where}: {field}: {number!r} is no number")
    return row


def written_csv(moves: Iterable[Move]) -> str:
    """New offsets as lines that `read_csv` and kafka-consumer-groups read."""
    return "".join(f"{move.partition.topic},{move.partition.partition},{move.new}\n" for move in moves)
