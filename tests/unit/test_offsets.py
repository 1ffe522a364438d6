"""Which offsets a reset sets, and what its options and files say."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import assume, given
from hypothesis import strategies as st

from mediagate.errors import ConfigurationError
from mediagate.offsets import (
    Move,
    Position,
    Rule,
    Since,
    plan,
    select,
    shift_by,
    to_current,
    to_earliest,
    to_latest,
    to_offset,
)
from mediagate.offsets.arguments import (
    before,
    parse_datetime,
    parse_duration,
    parse_topics,
    read_csv,
    written_csv,
)
from mediagate.offsets.options import Options

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
FIRST = TopicPartition("t", 0)

offsets = st.integers(0, 2**40)
partitions = st.builds(TopicPartition, st.sampled_from(["t", "media.approved", "a-b_c"]), st.integers(0, 99))


@st.composite
def positions(draw: st.DrawFn, *, within_log: bool = False) -> Position:
    beginning, end = sorted((draw(offsets), draw(offsets)))
    committed = st.integers(beginning, end) if within_log else st.none() | offsets
    return Position(draw(committed), beginning, end)


rules = st.sampled_from([to_earliest, to_latest, to_current]) | st.builds(
    to_offset, st.integers(-(2**50), 2**50)
)


def new(rule: Rule, position: Position) -> int:
    (move,) = plan(rule, {FIRST: position})
    return move.new


def refusal(**options: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        Options(**options).reset("g", NOW)
    return str(raised.value)


@pytest.mark.parametrize(
    ("rule", "offset"),
    [
        (to_earliest, 10),
        (to_latest, 90),
        (to_current, 50),
        (to_offset(70), 70),
        (to_offset(9), 10),
        (to_offset(91), 90),
        (shift_by(7), 57),
        (shift_by(-7), 43),
        (shift_by(-41), 10),
        (shift_by(41), 90),
    ],
)
def test_each_rule_has_its_offset(rule: Rule, offset: int) -> None:
    assert new(rule, Position(committed=50, beginning=10, end=90)) == offset


def test_without_a_commit_current_is_the_end_and_there_is_nothing_to_shift() -> None:
    untouched = Position(committed=None, beginning=10, end=90)
    assert new(to_current, untouched) == 90
    with pytest.raises(ConfigurationError, match=r"^--shift-by: the group has committed no offset of t:0$"):
        plan(shift_by(1), {FIRST: untouched})


@given(rules, positions())
def test_a_new_offset_is_in_the_log_and_a_change_of_it_is_said(rule: Rule, position: Position) -> None:
    (move,) = plan(rule, {FIRST: position})
    assert position.beginning <= move.new <= position.end
    assert (move.warning() is None) == (move.new == move.wanted)


@given(rules, positions())
def test_read_again_and_skipped_are_the_change_of_the_lag(rule: Rule, position: Position) -> None:
    (move,) = plan(rule, {FIRST: position})
    after = Position(move.new, position.beginning, position.end)
    assert 0 in (move.read_again, move.skipped)
    assert after.lag == position.lag + move.read_again - move.skipped


@given(positions(within_log=True), st.integers(-100, 100))
def test_what_is_shifted_inside_the_log_is_shifted_back(position: Position, count: int) -> None:
    (move,) = plan(shift_by(count), {FIRST: position})
    assume(move.warning() is None)
    assert new(shift_by(-count), Position(move.new, position.beginning, position.end)) == position.committed


def test_what_the_log_does_not_have_is_said() -> None:
    position = Position(committed=50, beginning=10, end=90)
    assert Move(FIRST, position, 91).warning() == "t:0: offset 91 is after the log's end, 90 is taken"
    assert Move(FIRST, position, -1).warning() == "t:0: offset -1 is before the log's beginning, 10 is taken"


@pytest.mark.parametrize(("committed", "lag"), [(None, 80), (10, 80), (3, 80), (50, 40), (90, 0), (95, 0)])
def test_lag_counts_what_the_log_still_has(committed: int | None, lag: int) -> None:
    assert Position(committed, beginning=10, end=90).lag == lag


@pytest.mark.parametrize(
    ("values", "selection"),
    [
        (["t"], {"t": set()}),
        (["t:0,2", "u"], {"t": {0, 2}, "u": set()}),
        (["t:0", "t:1"], {"t": {0, 1}}),
        (["t:0", "t"], {"t": set()}),
        (["t", "t:0"], {"t": set()}),
    ],
)
def test_topics_are_selected(values: list[str], selection: Mapping[str, set[int]]) -> None:
    assert parse_topics(values) == selection


@pytest.mark.parametrize("value", ["", ":0", "t:", "t:x", "t:0,", "t:-1", "t:0:1", "t u", "t:٣"])
def test_what_is_no_topic_is_named(value: str) -> None:
    assert refusal(topic=[value], to_latest=True) == f"--topic: {value!r} is neither topic nor topic:0,1"


def test_all_partitions_are_selected_where_none_is_named() -> None:
    existing = [TopicPartition(topic, number) for topic in "tu" for number in range(3)]
    assert select({"u": frozenset(), "t": frozenset({2, 1})}, existing) == [
        *(TopicPartition("u", number) for number in range(3)),
        *(TopicPartition("t", number) for number in (1, 2)),
    ]
    with pytest.raises(ConfigurationError, match=r"^Kafka has no topic v$"):
        select({"v": frozenset()}, existing)
    with pytest.raises(ConfigurationError, match=r"^topic t has partitions 0 to 2, and no 3$"):
        select({"t": frozenset({0, 3, 4})}, existing)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-02-03T04:05:06.789", datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)),
        ("2026-02-03T04:05:06.789Z", datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)),
        ("2026-02-03T04:05:06.789+02:00", datetime(2026, 2, 3, 2, 5, 6, 789000, UTC)),
        ("2026-02-03T04:05", datetime(2026, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("1969-12-31T23:59:59.000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00.000+23:00", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_datetimes_are_utc_where_they_name_no_zone(text: str, instant: datetime) -> None:
    assert parse_datetime("--to-datetime", text) == instant.timestamp() * 1000


def test_a_part_of_a_millisecond_is_not_before_it() -> None:
    assert parse_datetime("--to-datetime", "1970-01-01T00:00:00.000001") == 1


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P1D", timedelta(days=1)),
        ("PT36H", timedelta(hours=36)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT0S", timedelta()),
        ("P999999DT999999999H", timedelta(days=999999, hours=999999999)),
    ],
)
def test_durations_are_iso_8601(text: str, duration: timedelta) -> None:
    assert parse_duration("--by-duration", text) == duration


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "1D", "P1", "P1M", "P1W", "P1Y", "PT1H1D", "-PT1H", "PT1.5H", "PT1h ", "1h"],
)
def test_what_is_no_duration_is_named(text: str) -> None:
    assert (
        refusal(topic=["t"], by_duration=text) == f"--by-duration: {text!r} is no duration such as P1DT2H30M"
    )


@given(st.timedeltas(timedelta(), timedelta(days=999_999)))
def test_a_time_before_now_is_never_before_kafkas(duration: timedelta) -> None:
    milliseconds = before(NOW, duration)
    assert milliseconds >= 0
    if milliseconds:
        assert milliseconds == -((datetime(1970, 1, 1, tzinfo=UTC) - NOW) // timedelta(milliseconds=1)) - (
            duration // timedelta(milliseconds=1)
        )


@given(st.dictionaries(partitions, st.integers(0, 2**62)))
def test_what_is_written_is_read_back(new_offsets: dict[TopicPartition, int]) -> None:
    moves = [Move(partition, Position(None, 0, offset), offset) for partition, offset in new_offsets.items()]
    text = written_csv(moves)
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+,\d+,\d+", line) for line in text.splitlines())
    if new_offsets:
        assert read_csv(text.splitlines(keepends=True), "f", "g") == new_offsets


def test_of_several_groups_only_the_groups_own_offsets_are_read() -> None:
    lines = ["g,t,0,1\r\n", "other,t,0,2\n", "\n", "g,t,1,3"]
    assert read_csv(lines, "f", "g") == {FIRST: 1, TopicPartition("t", 1): 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,0,1\nt,0\n", "f.csv:2: not topic,partition,offset or group,topic,partition,offset"),
        ("TOPIC,PARTITION,OFFSET\n", "f.csv:1: partition: 'PARTITION' is no number"),
        ("t,0,-1\n", "f.csv:1: offset: '-1' is no number"),
        ("a b,0,1\n", "f.csv:1: topic: 'a b' is no topic's name"),
        ("t,0,1\n\nt,0,2\n", "f.csv:3: t:0 is there twice"),
        ("other,t,0,1\n", "f.csv: no offsets of group g"),
        ("", "f.csv: no offsets of group g"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.csv").write_text(text)
    assert refusal(from_file=Path("f.csv")) == f"--from-file: {message}"


def test_a_file_that_is_away_or_no_text_is_named(tmp_path: Path) -> None:
    assert refusal(from_file=tmp_path / "a") == f"--from-file: {tmp_path / 'a'}: No such file or directory"
    (tmp_path / "b").write_bytes(b"\xff\xfe,0,1")
    assert refusal(from_file=tmp_path / "b").startswith(f"--from-file: {tmp_path / 'b'}:1: topic: ")


def test_a_file_names_its_partitions(tmp_path: Path) -> None:
    path = tmp_path / "offsets.csv"
    path.write_text("\ufefft,0,5\nt,2,6\nu,1,7\n")
    reset = Options(from_file=path).reset("g", NOW)
    assert reset.selection == {"t": frozenset({0, 2}), "u": frozenset({1})}
    assert not isinstance(reset.target, Since)
    assert new(reset.target, Position(None, 0, 9)) == 5

    message = "--from-file names its partitions: without --topic and --all-topics"
    assert refusal(from_file=path, topic=["t"]) == message
    assert refusal(from_file=path, all_topics=True) == message


def test_exactly_one_scope_and_one_target_are_asked_for() -> None:
    assert refusal(to_latest=True) == "exactly one of --topic, --all-topics"
    assert refusal(to_latest=True, topic=["t"], all_topics=True) == "exactly one of --topic, --all-topics"
    assert refusal(topic=["t"]).endswith("--from-file: given are none")
    assert refusal(topic=["t"], to_offset=0, shift_by=0).endswith("given are --to-offset, --shift-by")
    assert Options(all_topics=True, to_earliest=True).reset("g", NOW).selection is None


def test_times_are_left_to_kafka() -> None:
    at = Options(topic=["t"], to_datetime="2026-02-03T03:05:06.000").reset("g", NOW)
    ago = Options(topic=["t"], by_duration="PT1H").reset("g", NOW)
    assert at.target == ago.target == Since(int(NOW.timestamp() - 3600) * 1000)
