"""`mediagate offsets` and `mediagate lag` by hand."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import TopicPartition

from mediagate.topics import Topics
from tests.consumer_groups import commit, committed, member, write
from tests.e2e.answers import Command, Ended, refused
from tests.e2e.conftest import Run
from tests.services import Services

NOW = datetime.now(UTC)
HOURS = [NOW - timedelta(hours=hours, minutes=30) for hours in reversed(range(10))]
"""Times of ten records; the last one is half an hour old."""


@pytest.fixture
def servers(services: Services) -> str:
    return services.kafka_bootstrap_servers


@pytest.fixture
def group() -> str:
    return f"sinks-{uuid4().hex}"


@pytest.fixture
def command(run: Run, servers: str, topics_file: Path, group: str) -> Command:
    """Runs `mediagate` while the test's own consumers go on."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "TOPICS_FILE": str(topics_file),
        "SINKS_GROUP": group,
        "STREAMS_GROUP": f"streams-{group}",
    }
    return lambda *arguments, **more: asyncio.to_thread(run, *arguments, **environment | more)


@pytest.fixture
async def approved(servers: str, topics: Topics, group: str) -> TopicPartition:
    """A partition of ten records, six of which the group has committed."""
    partition = TopicPartition(topics.approved.name, 2)
    await write(servers, partition, *(int(hour.timestamp() * 1000) for hour in HOURS))
    await commit(servers, group, {partition: 6})
    return partition


async def said(ended: Ended) -> str:
    finished = await ended
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return finished.stdout


def rows(table: str, topic: str) -> list[list[str]]:
    """The cells of a topic's rows, each from its partition's number on."""
    found = (line.partition(f" {topic}:") for line in table.splitlines())
    return [row.split() for _, _, row in found if row]


async def test_groups_are_shown_with_commit_end_lag_and_member(
    command: Command, servers: str, topics: Topics, group: str, approved: TopicPartition
) -> None:
    async with member(servers, group, approved.topic, "sinks-worker") as consumer:
        assert approved in consumer.assignment()
        shown = await said(command("offsets", "show"))

    assert f"{group}: Stable, 1 member" in shown
    assert f"streams-{group}: Dead, 0 members" in shown
    (row,) = [row for row in rows(shown, approved.topic) if row[0] == "2"]
    assert row[1:4] == ["6", "10", "4"]
    assert row[4].startswith("sinks-worker@")
    assert rows(shown, topics.rejected.name) == [[str(number), "-", "0", "0"] for number in range(4)]
    assert len(rows(shown, topics.upload_completed_image.name)) == 4
    assert rows(shown, topics.published.name) == []


async def test_another_group_is_shown_by_its_name(
    command: Command, servers: str, topics: Topics, approved: TopicPartition
) -> None:
    downstream = uuid4().hex
    await write(servers, TopicPartition(topics.published.name, 0), 1_700_000_000_000)
    await commit(servers, downstream, {TopicPartition(topics.published.name, 0): 1})

    shown = await said(command("offsets", "show", "--group", downstream))

    assert rows(shown, topics.published.name)[0] == ["0", "1", "1", "0"]
    assert approved.topic not in shown
    assert await refused(command("offsets", "show", "--group", "[typo]")) == (
        "Kafka has no topic that group [typo] reads"
    )


async def test_lag_falls_with_what_is_committed(
    command: Command, servers: str, group: str, approved: TopicPartition
) -> None:
    async def lag() -> list[str]:
        shown = await said(command("lag", "--group", group))
        lines = [line.split() for line in shown.splitlines()]
        (of_partition,) = [line[3] for line in lines if line[:3] == [group, approved.topic, "2"]]
        (of_all,) = [line[2] for line in lines if line[:2] == [group, "all"]]
        return [of_partition, of_all]

    assert await lag() == ["4", "4"]
    await commit(servers, group, {approved: 9})
    assert await lag() == ["1", "1"]
    assert f"streams-{group}" in await said(command("lag"))


async def test_a_dry_run_shows_the_effect_and_changes_nothing(
    command: Command, servers: str, group: str, approved: TopicPartition
) -> None:
    reset = ("offsets", "reset", "--group", group, "--topic", f"{approved.topic}:2")

    shown = await said(command(*reset, "--to-earliest"))

    assert rows(shown, approved.topic) == [["2", "6", "0", "10", "6", "0"]]
    assert "Dry run: nothing is changed. --execute sets the offsets of 1 partition" in shown
    assert "What is read again changes nothing for uploads at their end." in shown
    skipping = await said(command(*reset, "--to-latest", "--dry-run"))
    assert rows(skipping, approved.topic) == [["2", "6", "10", "10", "0", "4"]]
    assert "read again changes nothing" not in skipping
    assert await committed(servers, group) == {approved: 6}


@pytest.mark.parametrize(
    ("target", "offset"),
    [
        (["--to-earliest"], 0),
        (["--to-latest"], 10),
        (["--to-current"], 6),
        (["--to-offset", "3"], 3),
        (["--shift-by", "-2"], 4),
        (["--shift-by", "2"], 8),
        (["--by-duration", "PT3H"], 7),
        (["--to-datetime", f"{HOURS[1] - timedelta(milliseconds=1):%Y-%m-%dT%H:%M:%S.000}"], 1),
        (["--to-datetime", "2200-01-01T00:00:00.000"], 10),
    ],
)
async def test_each_target_is_executed(
    command: Command, servers: str, group: str, approved: TopicPartition, target: list[str], offset: int
) -> None:
    shown = await said(command("offsets", "reset", "--group", group, "--all-topics", *target, "--execute"))

    assert f"Set the offsets of 1 partition of group {group}." in shown
    assert await committed(servers, group) == {approved: offset}


async def test_what_the_log_does_not_have_is_warned_of(
    command: Command, servers: str, group: str, approved: TopicPartition
) -> None:
    ended = await command(
        "offsets",
        "reset",
        "--group",
        group,
        "--topic",
        f"{approved.topic}:2",
        "--to-offset",
        "99",
        "--execute",
    )

    assert ended.returncode == 0
    assert ended.stderr == f"{approved.topic}:2: offset 99 is after the log's end, 10 is taken\n"
    assert await committed(servers, group) == {approved: 10}


async def test_exported_offsets_are_taken_from_the_file_again(
    command: Command, servers: str, group: str, approved: TopicPartition, tmp_path: Path
) -> None:
    reset = ("offsets", "reset", "--group", group)
    ended = await command(*reset, "--all-topics", "--to-current", "--export")
    assert ended.stdout == f"{approved.topic},2,6\n"
    assert ended.stderr.startswith("Dry run: nothing is changed.")
    (tmp_path / "offsets.csv").write_text(ended.stdout)

    await said(command(*reset, "--topic", approved.topic, "--to-earliest", "--execute"))
    assert (await committed(servers, group))[approved] == 0
    await said(command(*reset, "--from-file", "offsets.csv", "--execute"))
    assert (await committed(servers, group))[approved] == 6


async def test_an_active_group_is_refused_and_its_members_are_named(
    command: Command, servers: str, group: str, approved: TopicPartition
) -> None:
    reset = ("offsets", "reset", "--group", group, "--all-topics", "--to-earliest")
    async with member(servers, group, approved.topic, "sinks-worker"):
        for mode in ("--dry-run", "--execute"):
            ended = await command(*reset, mode)
            assert ended.returncode == 1
            assert rows(ended.stdout, approved.topic) == [["2", "6", "0", "10", "6", "0"]]
            (line,) = ended.stderr.splitlines()
            assert line.startswith(
                f"mediagate: group {group} is active: stop its members first: sinks-worker@"
            )

    assert await committed(servers, group) == {approved: 6}


async def test_first_offsets_of_an_unknown_group_are_set_with_a_warning(
    command: Command, servers: str, topics: Topics
) -> None:
    downstream = uuid4().hex
    partition = TopicPartition(topics.published.name, 1)
    await write(servers, partition, 1_700_000_000_000)
    ended = await command(
        *("offsets", "reset", "--group", downstream, "--topic", f"{partition.topic}:1"),
        *("--to-latest", "--execute"),
    )

    assert ended.returncode == 0
    assert ended.stderr == f"group {downstream} has committed nothing so far\n"
    assert await committed(servers, downstream) == {partition: 1}


async def test_what_cannot_be_reset_is_one_line(
    command: Command, servers: str, group: str, topics: Topics, approved: TopicPartition
) -> None:
    reset = ("offsets", "reset", "--group", group, "--to-latest", "--execute")
    reads = ", ".join(sorted(topic.name for topic in topics.of_sinks()))
    assert await refused(command(*reset, "--topic", topics.published.name)) == (
        f"group {group} does not read {topics.published.name}: it reads {reads}"
    )
    assert await refused(command(*reset, "--topic", "typo")) == "Kafka has no topic typo"
    assert await refused(command(*reset, "--topic", f"{approved.topic}:9")) == (
        f"topic {approved.topic} has partitions 0 to 3, and no 9"
    )
    assert await refused(command(*reset, "--all-topics", "--dry-run")) == (
        "--dry-run and --execute exclude each other"
    )
    assert await refused(command(*reset)) == "exactly one of --topic, --all-topics"
    nobody = ("offsets", "reset", "--group", "nobody", "--to-latest")
    assert await refused(command(*nobody, "--all-topics")) == (
        "--all-topics: group nobody has committed no offset"
    )
    assert await committed(servers, group) == {approved: 6}


async def test_a_broker_that_is_away_is_one_line(run: Run) -> None:
    for arguments in (["lag"], ["offsets", "show"]):
        ended = run(*arguments, "--bootstrap-server", "127.0.0.1:1")
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith("mediagate: Kafka does not answer")
