"""`mediagate replay` by hand: shown first, done, interrupted and gone on with."""

import asyncio
import re
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import stamina

from mediagate.database import connect
from mediagate.settings import Settings
from mediagate.topics import Topics
from tests.e2e.answers import Command
from tests.e2e.conftest import Run
from tests.replays import causes, copies, header, insert, publish, rows
from tests.services import Services
from tests.uploads import upload
from tests.worker_process import environment_of

DEADLINE = 60
RATE = 150


@pytest.fixture
def environment(settings: Settings, services: Services, topics: Topics) -> dict[str, str]:
    return environment_of(settings, services) | {"COLUMNS": "80"}


@pytest.fixture
def command(run: Run, environment: dict[str, str]) -> Command:
    """Runs `mediagate replay`."""
    return lambda *arguments, **more: asyncio.to_thread(run, "replay", *arguments, **environment | more)


@pytest.fixture
def topic(topics: Topics) -> str:
    return topics.upload_completed_image.name


async def published(settings: Settings, topic: str, count: int) -> list[str]:
    """So many uploads' events: their ids."""
    events = [upload(settings.temp_bucket) for _ in range(count)]
    await publish(settings.kafka_bootstrap_servers, topic, events)
    return [event.id for event in events]


def rows_of(tables: str, first: str) -> list[list[str]]:
    """The numbers of the rows that begin so."""
    rows = [line.split() for line in tables.splitlines()]
    return [row[1:] for row in rows if row[:1] == [first]]


async def test_a_dry_run_shows_what_would_happen_and_changes_nothing(
    command: Command, settings: Settings, topic: str, database_url: str
) -> None:
    events = [upload(settings.temp_bucket) for _ in range(4)]
    async with await connect(database_url, 1) as pool:
        for event, state in zip(events, ["published", "needs_review", "queued"], strict=False):
            await insert(pool, event.data, state)
    await publish(settings.kafka_bootstrap_servers, topic, events)

    ended = await command("--topic", topic, "--from-offset", "0")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert rows_of(ended.stdout, "all") == [["4", "0", "4"], ["4", "2", "0", "2"]]
    assert (
        rows_of(ended.stdout, "published") == rows_of(ended.stdout, "needs_review") == [["1", "1", "0", "0"]]
    )
    assert rows_of(ended.stdout, "queued") == rows_of(ended.stdout, "unknown") == [["1", "0", "0", "1"]]
    lines = " ".join(ended.stdout.split())
    assert "Dry run: nothing is published. --execute publishes 4 events." in lines
    assert await copies(settings.kafka_bootstrap_servers, topic) == []
    assert await rows(database_url, "select * from operator_actions") == []


async def test_execute_publishes_and_says_who_did_it(
    command: Command, settings: Settings, topic: str, database_url: str
) -> None:
    ids = await published(settings, topic, 3)

    ended = await command(
        "--topic", topic, "--from-datetime", "2000-01-01T00:00:00", "--operator", "olga", "--execute"
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    match = re.search(r"Publishing as replay ([0-9a-f-]{36})\.\nPublished: 3 events\.\n", ended.stdout)
    assert match is not None
    assert sorted(causes(await copies(settings.kafka_bootstrap_servers, topic))) == sorted(ids)
    (row,) = await rows(database_url, "select operator, subject from operator_actions")
    assert (row["operator"], row["subject"]) == ("olga", match[1])


async def test_ctrl_c_is_safe_and_it_goes_on(
    command: Command,
    settings: Settings,
    topic: str,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    ids = await published(settings, topic, 200)
    servers = settings.kafka_bootstrap_servers
    arguments = ("--topic", topic, "--from-offset", "0", "--rate", f"{RATE}/s", "--execute")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediagate", "replay", *arguments),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async for attempt in stamina.retry_context(
        on=AssertionError, attempts=None, timeout=DEADLINE, wait_max=0.05
    ):
        with attempt:
            assert await copies(servers, topic)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(DEADLINE):
        output, errors = map(bytes.decode, await process.communicate())

    assert process.returncode == 1
    assert "Published" not in output
    assert "Publishing as replay " in output
    stopped = re.fullmatch(
        r"mediagate: stopped. Published: (\d+) of 200; to go on: mediagate replay (.+)\n", errors
    )
    assert stopped is not None, errors
    done = int(stopped[1])
    assert 0 < done < 200
    before = await copies(servers, topic)
    assert len(before) == done

    resume = stopped[2].split()
    assert resume[2:] == ["--rate", f"{RATE}/s", "--execute"]
    shown = await command(*resume[:-1])
    assert f"--execute publishes {200 - done} more events." in shown.stdout
    ended = await command(*resume)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Published: 200 events." in ended.stdout
    found = await copies(servers, topic)
    assert sorted(causes(found)) == sorted(ids)
    assert len({header(record, "ce_id") for record in found}) == 200
    again = await command(*resume)
    assert again.returncode == 1
    assert again.stderr.endswith("has ended: it published 200 events\n")


async def test_what_cannot_be_replayed_is_one_line(command: Command, topics: Topics, topic: str) -> None:
    async def refused(*arguments: str) -> str:
        ended = await command(*arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        (line,) = ended.stderr.splitlines()
        return line.removeprefix("mediagate: ")

    nothing = uuid4()
    videos = topics.upload_completed_video.name
    assert await refused("--topic", topics.approved.name, "--from-offset", "0") == (
        f"--topic: {topics.approved.name} cannot be replayed, only {topic}, {videos}: copies would be other "
        "decisions and other news. `mediagate offsets reset` has a group read any topic again"
    )
    assert await refused("--topic", f"{topic}:9", "--from-offset", "0") == (
        f"topic {topic} has partitions 0 to 3, and no 9"
    )
    assert await refused("--topic", topic) == (
        "exactly one of --from-offset, --from-datetime, or --resume: given is none"
    )
    assert await refused("--topic", topic, "--from-offset", "0", "--dry-run", "--execute") == (
        "--dry-run and --execute exclude each other"
    )
    assert await refused("--topic", topic, "--from-offset", "0", "--rate", "fast") == (
        "--rate: 'fast' is no rate such as 50/s"
    )
    assert await refused("--resume", str(nothing), "--limit", "3") == (
        "--resume knows what is replayed: without --limit"
    )
    assert await refused("--resume", str(nothing), "--execute") == f"--resume: there is no replay {nothing}"


async def test_services_that_are_away_are_one_line(command: Command, topic: str) -> None:
    arguments = ("--topic", topic, "--from-offset", "0")
    for ended, who in (
        (await command(*arguments, "--bootstrap-server", "127.0.0.1:1"), "Kafka"),
        (await command(*arguments, DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing"), "PostgreSQL"),
    ):
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"mediagate: {who} does not answer")
