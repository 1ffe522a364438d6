"""`mediagate doctor` and `mediagate brakes` by hand."""

import asyncio
import subprocess
from functools import partial

import asyncpg
import pytest

from tests.e2e.conftest import Run

NOWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
}


@pytest.fixture
def run(run: Run) -> Run:
    """Runs `mediagate` where nothing answers."""
    return partial(run, **NOWHERE)


def row(output: str, name: str) -> list[str]:
    """The cells of the first row of a table that begins so."""
    line = next(line for line in output.splitlines() if line.startswith(f"│ {name} "))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_doctor_says_which_scanners_can_be_used_and_why_not(run: Run) -> None:
    ended = run("doctor")
    assert ended.returncode == 0, ended.stderr
    assert row(ended.stdout, "local") == ["local", "yes", "image, video", "yes", ""]
    assert row(ended.stdout, "vision")[1] == "no"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in row(ended.stdout, "vision")[-1]
    assert "MODAL_TOKEN_ID" in row(ended.stdout, "modal")[-1]
    assert row(ended.stdout, "image") == ["image", "any size", "local", ""]


def test_the_doctor_objects_to_a_route_whose_scanner_cannot_be_used(run: Run) -> None:
    routes = '[{"scanner": "vision", "max_batch": 16, "fallback": "local"}, {"scanner": "local"}]'
    ended = run("doctor", IMAGE_ROUTES=routes, GOOGLE_APPLICATION_CREDENTIALS="/nowhere/key.json")
    assert ended.returncode == 1
    assert ended.stderr == "mediagate: a route names vision, which cannot be used\n"
    assert row(ended.stdout, "vision")[:4] == ["vision", "no", "image", "no"]
    assert "/nowhere/key.json" in row(ended.stdout, "vision")[-1]
    assert row(ended.stdout, "image") == ["image", "up to 16", "vision", "local"]


def test_a_route_that_cannot_be_is_one_line(run: Run) -> None:
    ended = run("doctor", VIDEO_ROUTES='[{"scanner": "vision"}]')
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "mediagate: settings: Value error, VIDEO_ROUTES: vision scans images only"
    ]


async def test_a_brake_is_listed_until_it_is_resumed(run: Run, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "insert into brakes (media_type, outcome, share, low, high, decisions, engaged_at) "
        "values ('image', 'approved', 1, 0.3, 0.95, 500, '2030-01-02 03:04:05+00')"
    )

    def brakes(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return run("brakes", *arguments, DATABASE_URL=database_url)

    listed = await asyncio.to_thread(brakes, "list")
    assert row(listed.stdout, "image") == [
        "image", "approved", "1.000", "0.3 to 0.95", "500", "2030-01-02 03:04:05", "",
    ]  # fmt: skip
    other = await asyncio.to_thread(brakes, "resume", "video", "approved")
    assert (other.returncode, other.stderr) == (1, "mediagate: no brake is engaged on approved videos\n")

    resumed = await asyncio.to_thread(brakes, "resume", "image", "approved")

    assert (resumed.returncode, resumed.stdout) == (0, "Approved images are emitted again.\n")
    assert (await asyncio.to_thread(brakes, "list")).stdout == "No brake is engaged.\n"
    assert row((await asyncio.to_thread(brakes, "list", "--all")).stdout, "image")[-1] != ""
    assert await connection.fetchval("select count(*) from brakes where resumed_at is not null") == 1
    await connection.close()


async def test_a_stream_that_was_stopped_goes_on(run: Run, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    for stream in ("image", "media.approved"):
        await connection.execute(
            "insert into brakes (media_type, outcome, share, low, high, decisions, engaged_at) "
            "values ($1, 'dead_letter', 0.86, 0, 0.5, 100, '2030-01-02 03:04:05+00')",
            stream,
        )
    await connection.close()

    def brakes(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return run("brakes", *arguments, DATABASE_URL=database_url)

    listed = await asyncio.to_thread(brakes, "list")
    assert row(listed.stdout, "media.approved") == [
        "media.approved", "dead_letter", "0.860", "0 to 0.5", "100", "2030-01-02 03:04:05", "",
    ]  # fmt: skip
    resumed = await asyncio.to_thread(brakes, "resume", "media.approved", "dead_letter")
    assert resumed.stdout == "media.approved goes on; dead letters are counted anew.\n"
    again = await asyncio.to_thread(brakes, "resume", "media.approved", "dead_letter")
    assert again.stderr == "mediagate: no brake is engaged on dead letters of media.approved\n"
    assert row((await asyncio.to_thread(brakes, "list")).stdout, "image")[1] == "dead_letter"
