"""The options of `mediagate offsets reset`, together: which partitions, and where to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiokafka import TopicPartition

from mediagate.errors import ConfigurationError
from mediagate.offsets import (
    Rule,
    Selection,
    Since,
    shift_by,
    to_current,
    to_each,
    to_earliest,
    to_latest,
    to_offset,
)
from mediagate.offsets.arguments import before, parse_datetime, parse_duration, parse_topics, read_csv
from mediagate.offsets.reset import Reset

TARGETS = (
    "--to-earliest, --to-latest, --to-current, --to-offset, "
    "--to-datetime, --by-duration, --shift-by, --from-file"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As they were given; each has the name of its option."""

    topic: Sequence[str] = ()
    all_topics: bool = False
    to_earliest: bool = False
    to_latest: bool = False
    to_current: bool = False
    to_offset: int | None = None
    to_datetime: str | None = None
    by_duration: str | None = None
    shift_by: int | None = None
    from_file: Path | None = None

    def reset(self, group: str, now: datetime) -> Reset:
        """What they ask for; raises ConfigurationError that names the faulty option."""
        offsets = {} if self.from_file is None else _read(self.from_file, group)
        targets = self._targets(now, offsets)
        if len(targets) != 1:
            raise ConfigurationError(f"exactly one of {TARGETS}: given are {', '.join(targets) or 'none'}")
        (target,) = targets.values()
        return Reset(self._selection(offsets), target)

    def _targets(self, now: datetime, offsets: Mapping[TopicPartition, int]) -> dict[str, Rule | Since]:
        targets: dict[str, Rule | Since] = {}
        if self.to_earliest:
            targets["--to-earliest"] = to_earliest
        if self.to_latest:
            targets["--to-latest"] = to_latest
        if self.to_current:
            targets["--to-current"] = to_current
        if self.to_offset is not None:
            targets["--to-offset"] = to_offset(self.to_offset)
        if self.to_datetime is not None:
            targets["--to-datetime"] = Since(parse_datetime("--to-datetime", self.to_datetime))
        if self.by_duration is not None:
            targets["--by-duration"] = Since(before(now, parse_duration("--by-duration", self.by_duration)))
        if self.shift_by is not None:
            targets["--shift-by"] = shift_by(self.shift_by)
        if self.from_file is not None:
            targets["--from-file"] = to_each(offsets)
        return targets

    def _selection(self, offsets: Mapping[TopicPartition, int]) -> Selection | None:
        if self.from_file is not None:
            if self.topic or self.all_topics:
                raise ConfigurationError("--from-file names its partitions: without --topic and --all-topics")
            topics = {topic for topic, _ in offsets}
            return {topic: frozenset(number for of, number in offsets if of == topic) for topic in topics}
        if self.all_topics == bool(self.topic):
            raise ConfigurationError("exactly one of --topic, --all-topics")
        return None if self.all_topics else parse_topics(self.topic)


def _read(path: Path, group: str) -> Mapping[TopicPartition, int]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            return read_csv(lines, f"--from-file: {path}", group)
    except OSError as error:
        raise ConfigurationError(f"--from-file: {path}: {error.strerror}") from error
