"""`python -m devstack.demo`: runs the demo and exits 0 only if every upload ended where it should."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from aiokafka import AIOKafkaProducer
from dotenv import dotenv_values
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from devstack.demo.cases import GARBAGE, Case, cases
from devstack.demo.client import DemoError, Upload, Uploader
from devstack.demo.ending import Evidence
from devstack.demo.report import Report
from mediagate.jobs import TERMINAL, State
from mediagate.settings import Settings
from mediagate.topics import Topics, load_topics

DIRECTORY = Path(".devstack")
READY_LINE = "Mediagate is up."
STOP_DEADLINE = 120.0
END_DEADLINE = 240.0
CONCURRENCY = 8
IMPATIENCE = {"RECOVERY_INTERVAL": "3", "RECOVERY_COOLDOWN": "8", "UPLOAD_EXPIRES_AFTER": "20"}
"""Recovery's minutes and days in seconds, so that abandoned uploads too end while one watches."""

console = Console()


def main(
    media: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A folder of your own images and videos."),
    ] = None,
) -> None:
    """Runs the whole system, uploads through it, and shows where everything ended."""
    with running_system():
        report = asyncio.run(demonstrate(list(cases(media))))
    report.write(DIRECTORY / "demo-report.json")
    report.show(console)
    console.print(f"The same as JSON: {DIRECTORY / 'demo-report.json'}")
    if report.faults or report.unaccounted:
        raise SystemExit(1)


@contextmanager
def running_system() -> Iterator[None]:
    """`mediagate up --embedded`, from ready to drained."""
    command = [sys.executable, "-m", "mediagate", "up", "--embedded"]
    process = subprocess.Popen(
        command, env=os.environ | IMPATIENCE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _wait_until_ready(process)
        yield
    finally:
        process.terminate()
        _, rest = process.communicate(timeout=STOP_DEADLINE)
        console.print(f"[dim]{rest.strip()}[/dim]", soft_wrap=True)
    if process.returncode:
        raise SystemExit(process.returncode)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    if process.stderr is None:
        raise SystemExit("no output")
    for line in process.stderr:
        console.print(f"[dim]{line.rstrip()}[/dim]", soft_wrap=True)
        if READY_LINE in line:
            return
    raise SystemExit(process.wait() or 1)


async def demonstrate(todo: list[Case]) -> Report:
    """Uploads every case, waits until all have ended, checks each, and reports."""
    environment = {name: value or "" for name, value in dotenv_values(DIRECTORY / "env").items()}
    topics = load_topics(Settings.model_fields["topics_file"].default)
    evidence = Evidence(environment, topics, Settings.model_fields["quarantine_bucket"].default)
    await evidence.remember_offsets()
    log_position = (DIRECTORY / "logs" / "streams.log").stat().st_size
    report = Report()
    async with aiohttp.ClientSession() as session:
        uploader = Uploader(session, environment["MEDIAGATE_URL"], environment["MEDIAGATE_TOKEN"])
        with _progress() as progress:
            await _publish_garbage(environment, topics)
            uploads, completed_at = await _upload_all(uploader, todo, progress)
            answers = await _until_ended(uploader, uploads, progress)
    for upload in uploads:
        answer = answers[upload.media_id]
        report.ended.append((upload.case.linked_to_type, State(answer["state"])))
        report.faults += await evidence.faults(upload, answer)
    published_at = await evidence.published_at()
    report.seconds = [
        (published_at[media_id] - at).total_seconds()
        for media_id, at in completed_at.items()
        if media_id in published_at
    ]
    report.dead_letter = await evidence.dead_letters()
    if report.dead_letter < len(GARBAGE):
        report.faults.append(f"{report.dead_letter} dead letters of {len(GARBAGE)} garbage records")
    lines = _log_lines(log_position)
    report.windows = [
        {name: line[name] for name in ("media_type", "trigger", "items")}
        for line in _of(lines, "window finished")
    ]
    report.scanned = sum(line["items"] for line in _of(lines, "batch scanned"))
    report.known = sum(line["items"] for line in _of(lines, "verdicts known"))
    return report


async def _upload_all(
    uploader: Uploader, todo: list[Case], progress: Progress
) -> tuple[list[Upload], dict[str, datetime]]:
    task = progress.add_task("uploading", total=len(todo))
    slots = asyncio.Semaphore(CONCURRENCY)
    completed_at: dict[str, datetime] = {}

    async def one(case: Case) -> Upload:
        async with slots:
            upload = await uploader.upload(case)
        if upload.completed:
            completed_at[upload.media_id] = datetime.now(UTC)
        progress.advance(task)
        return upload

    return list(await asyncio.gather(*map(one, todo))), completed_at


async def _until_ended(
    uploader: Uploader, uploads: list[Upload], progress: Progress
) -> dict[str, Mapping[str, Any]]:
    task = progress.add_task("deciding and moving", total=len(uploads))
    answers: dict[str, Mapping[str, Any]] = {}
    open_uploads = uploads
    deadline = asyncio.get_running_loop().time() + END_DEADLINE
    while open_uploads and asyncio.get_running_loop().time() < deadline:
        for upload in open_uploads:
            answers[upload.media_id] = await uploader.state(upload)
        open_uploads = [one for one in open_uploads if answers[one.media_id]["state"] not in TERMINAL]
        progress.update(task, completed=len(uploads) - len(open_uploads))
        await asyncio.sleep(0.5)
    return answers


async def _publish_garbage(environment: Mapping[str, str], topics: Topics) -> None:
    async with AIOKafkaProducer(bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"]) as producer:
        for value in GARBAGE:
            await producer.send_and_wait(topics.upload_completed_image.name, value)


def _log_lines(position: int) -> list[Mapping[str, Any]]:
    with (DIRECTORY / "logs" / "streams.log").open("rb") as log:
        log.seek(position)
        return [json.loads(line) for line in log if line.startswith(b"{")]


def _of(lines: list[Mapping[str, Any]], event: str) -> list[Mapping[str, Any]]:
    return [line for line in lines if line.get("event") == event]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    try:
        typer.run(main)
    except DemoError as error:
        sys.exit(f"demo: {error}")
