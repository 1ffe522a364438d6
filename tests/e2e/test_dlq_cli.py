"""`mediagate dlq` by hand."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from mediagate.events import OutgoingRecord
from mediagate.topics import Topics
from tests.dead_letters import bury, letter, read, size
from tests.e2e.answers import Command, Ended, lines, refused
from tests.e2e.conftest import ROOT, Run
from tests.services import Services

DEADLINE = 60.0


@pytest.fixture
def servers(services: Services) -> str:
    return services.kafka_bootstrap_servers


@pytest.fixture
def environment(servers: str, topics: Topics, topics_file: Path, database_url: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "TOPICS_FILE": str(topics_file),
        "DATABASE_URL": database_url,
        "LOGNAME": "ana",
    }


@pytest.fixture
def command(run: Run, environment: dict[str, str]) -> Command:
    return lambda *arguments, **more: asyncio.to_thread(run, "dlq", *arguments, **environment | more)


async def said(ended: Ended, warned: str = "") -> str:
    finished = await ended
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == warned
    return finished.stdout


async def test_open_letters_are_listed_the_newest_last_with_totals(
    command: Command, servers: str, topics: Topics
) -> None:
    images, approved = topics.upload_completed_image.name, topics.approved.name
    for number in range(3):
        await bury(servers, letter(topics, offset=number, error=f"size: fault {number}"))
    (last,) = await bury(servers, letter(topics, topic=approved, reason="no_value", error="a tombstone"))

    shown = await said(command("list"))

    errors = [line for line in lines(shown) if "fault" in line or "tombstone" in line]
    assert [error.rpartition(" ")[2] for error in errors] == ["0", "1", "2", "tombstone"]
    assert f"{last} " in shown
    assert f"{images}:3:2" in shown
    assert f"{approved}:3:41" in shown
    assert {"invalid_data 3", "no_value 1", "all 4"} <= set(lines(shown))
    assert "Shown are" not in shown
    fewer = await said(command("list", "--limit", "1"))
    assert "fault" not in fewer
    assert "Shown are the newest 1 of 4." in fewer
    assert "all 4" in lines(fewer)


async def test_filters_say_which_letters(command: Command, servers: str, topics: Topics) -> None:
    (position,) = await bury(servers, letter(topics, reason="no_value"))
    await bury(servers, letter(topics, topic=topics.held.name, reason="other"))

    for filters in (
        ["--reason", "no_value"],
        ["--reason", "no_value", "--reason", "never", "--since", "PT1H"],
        ["--topic", topics.upload_completed_image.name, "--until", "2200-01-01T00:00:00.000"],
    ):
        shown = await said(command("list", *filters))
        assert "all 1" in lines(shown)
        assert f"{position} " in shown
    assert await said(command("list", "--until", "PT1H")) == "No open dead letters.\n"
    media_id = "00000000-0000-0000-0000-000000000007"
    assert await said(command("list", "--media-id", media_id, "--all")) == "No dead letters.\n"


async def test_a_redrive_is_shown_first_and_then_done_once(
    command: Command, servers: str, topics: Topics, database_url: str
) -> None:
    images = topics.upload_completed_image.name
    (position,) = await bury(servers, letter(topics, value=b"\xff", headers=[("x", b"\x00"), ("x", b"2")]))
    await bury(servers, letter(topics, topic=topics.held.name, reason="other"))

    dry = await said(command("redrive", position))
    assert {f"invalid_data {images} 1", "all 1"} <= set(lines(dry))
    assert dry.endswith("Dry run: nothing is changed. --execute sends 1 letter back.\n")
    assert await size(servers, images) == 0

    done = await said(command("redrive", position, "--execute"))
    assert done.endswith("Redriven: 1 letter.\n")
    (record,) = await read(servers, images, 1)
    assert (record.key, record.value, record.headers) == (b"key", b"\xff", (("x", b"\x00"), ("x", b"2")))

    again = await command("redrive", position, "--execute")
    assert (again.returncode, again.stdout) == (0, "Nothing to redrive.\n")
    assert again.stderr.startswith(f"{position} is left out: ana has redriven it, ")
    assert await size(servers, images) == 1
    assert "all 1" in lines(await said(command("list")))
    assert "all 2" in lines(await said(command("list", "--all")))
    shown = await said(command("show", position))
    assert "state   redriven" in shown
    assert f"ana redrive {topics.dead_letter.name}:{position} to {images}:" in "\n".join(lines(shown))
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("select count(*) from operator_actions") == 1
    await connection.close()


async def test_letters_are_discarded_with_a_note_and_can_be_redriven_by_name(
    command: Command, servers: str, topics: Topics
) -> None:
    (position,) = await bury(servers, letter(topics))
    discard = ("discard", "--reason", "invalid_data", "--note", "a broken [release]", "--operator", "bo")

    dry = await said(command(*discard))
    assert dry.endswith("Dry run: nothing is changed. --execute marks 1 letter as discarded.\n")
    assert (await said(command(*discard, "--execute"))).endswith("Discarded: 1 letter.\n")
    assert await said(command(*discard, "--execute")) == "Nothing to discard.\n"
    assert await said(command("redrive", "--all", "--execute")) == "Nothing to redrive.\n"
    shown = await said(command("show", position))
    assert "state   discarded" in shown
    assert f"bo  discard  {topics.dead_letter.name}:{position}: a broken [release]" in shown

    assert (await said(command("redrive", position, "--execute"))).endswith("Redriven: 1 letter.\n")
    assert await size(servers, topics.upload_completed_image.name) == 1
    assert await size(servers, topics.dead_letter.name) == 1


async def test_letters_go_only_where_workers_read(command: Command, servers: str, topics: Topics) -> None:
    published = topics.published.name
    forged = OutgoingRecord(topics.dead_letter.name, b"k", b"v", [])
    await bury(servers, letter(topics, topic=published), letter(topics, topic="[red]evil"), forged)
    await bury(servers, letter(topics))

    ended = await command("redrive", "--all", "--execute")

    assert ended.returncode == 0
    assert sorted(ended.stderr.splitlines()) == sorted(
        f"1 letter of {topic} cannot be redriven: no worker reads it"
        for topic in ("?", "[red]evil", published)
    )
    assert ended.stdout.endswith("Redriven: 1 letter.\n")
    assert await size(servers, published) == 0
    assert await size(servers, topics.upload_completed_image.name) == 1


async def test_hostile_content_is_escaped(command: Command, servers: str, topics: Topics) -> None:
    hostile = "\x1b[2J\x1b]0;pwned\x07[red]x[/red]\u202e"
    (position,) = await bury(
        servers,
        letter(
            topics,
            topic=f"t{hostile}",
            reason=f"r{hostile}",
            error=hostile,
            key=hostile.encode(),
            value=hostile.encode(),
            headers=[(hostile, hostile.encode())],
        ),
    )
    listed = await said(command("list"))
    shown = await said(command("show", position))
    planned = await said(command("discard", "--all", "--note", "x"))
    for text in (listed, shown, planned):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "[red]x[/red]" in "".join(text.split())
    assert (
        f"  {hostile}".replace("\x1b", r"\x1b").replace("\x07", r"\x07").replace("\u202e", r"\u202e") in shown
    )


async def test_ctrl_c_ends_a_redrive_in_order_and_the_same_command_goes_on(
    command: Command, environment: dict[str, str], servers: str, topics: Topics, tmp_path: Path
) -> None:
    images = topics.upload_completed_image.name
    await bury(servers, *(letter(topics, key=b"%d" % number) for number in range(30)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediagate", "dlq", "redrive", "--all", "--rate", "3/s", "--execute"),
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE):
        while not await size(servers, images):  # noqa: ASYNC110 - only Kafka tells
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = await process.communicate()

    sent = await size(servers, images)
    assert process.returncode == 1
    assert stderr.decode() == (
        f"mediagate: stopped: redriven are {sent} of 30; the same command goes on with the rest\n"
    )
    assert 0 < sent < 30
    ended = await said(command("redrive", "--all", "--execute"))
    assert ended.endswith(f"Redriven: {30 - sent} letters.\n")
    keys = [record.key for record in await read(servers, images, 30)]
    assert sorted(keys) == sorted(b"%d" % number for number in range(30))
    assert await size(servers, images) == 30


async def test_what_is_not_clear_is_one_line(
    command: Command, run: Run, topics: Topics, environment: dict[str, str]
) -> None:
    selection = (
        "say which letters: PARTITION:OFFSET …, or filters"
        " (--reason, --topic, --since, --until, --media-id), or --all"
    )
    assert await refused(command("redrive", "--execute")) == selection
    assert await refused(command("redrive", "0:1", "--all")) == selection
    assert await refused(command("discard", "--note", "x")) == selection
    assert await refused(command("discard", "--all", "--note", " ")) == "--note: say why"
    assert await refused(command("redrive", "--all", "--dry-run", "--execute")) == (
        "--dry-run and --execute exclude each other"
    )
    assert await refused(command("redrive", "--all", "--rate", "0")) == "--rate: '0' is no rate such as 50/s"
    assert await refused(command("list", "--since", "soon")) == (
        "--since: 'soon' is no datetime such as 2025-01-31T18:30:00.000"
    )
    assert await refused(command("show", "7")) == "'7' is no PARTITION:OFFSET such as 2:17"
    assert await refused(command("show", "2:7")) == (
        f"{topics.dead_letter.name} has no 2:7: partition 2 is empty"
    )
    away = await refused(command("list", "--bootstrap-server", "127.0.0.1:1"))
    assert away.startswith("Kafka does not answer")
    away = await refused(command("list", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing"))
    assert away.startswith("PostgreSQL")
