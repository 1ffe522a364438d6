"""`python -m benchmarks`: Mediagate beside what a user would pick instead."""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from benchmarks import machine, results
from benchmarks.engine.bench import MODEL, EngineBenchmark, Job, served
from benchmarks.prepare import BUILT
from benchmarks.results import Measurement
from benchmarks.stream.bench import StreamBenchmark
from benchmarks.stream.peers import PEERS, Peer
from devstack.stack import Stack

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
Each = TypeVar("Each")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

Names = Annotated[
    list[str] | None, typer.Option("--peer", help="Only those whose name begins so; repeatable.")
]
Rotations = Annotated[int, typer.Option(min=1, help="How often each peer runs; medians are shown.")]
Results = Annotated[Path | None, typer.Option("--results", help="Write the figures there, as JSON.")]
Events = Annotated[int, typer.Option(min=1000, help="Uploads to decide on in each run.")]


@app.command()
def stream(
    peer: Names = None, rotations: Rotations = 3, events: Events = 100_000, file: Results = None
) -> None:
    """Windows of 50, one decision an upload, committed once the broker has acknowledged."""
    chosen = [each for each in PEERS if peer is None or each.name.startswith(tuple(peer))]
    measured = results.medians(asyncio.run(_stream(chosen, rotations, events)))
    console.print(
        results.table(f"Stream, {events:,} uploads", measured, {each.name: each.weaker for each in PEERS})
    )
    if file is not None:
        results.save(file, "stream", measured, _ratios(measured), machine.about_this_machine())


@app.command()
def engine(
    rotations: Rotations = 3,
    images: Annotated[int, typer.Option(min=1, help="Pictures to scan in each run.")] = 200,
    videos: Annotated[int, typer.Option(min=1, help="Videos to scan in each run.")] = 10,
    seconds: Annotated[int, typer.Option(min=1, help="Length of each video.")] = 30,
    file: Results = None,
) -> None:
    """The local scanner on two cores beside its model alone; and what a second of video costs it."""
    of_pictures, of_videos = (
        results.medians(runs) for runs in asyncio.run(_engine(rotations, images, videos, seconds))
    )
    console.print(results.table(f"Engine, {images:,} images, a second and core", of_pictures, {}))
    console.print(results.table("Engine, seconds of video, a second and core", of_videos, {}))
    if file is not None:
        about = machine.about_this_machine()
        ratios = {"engine_vs_model": results.ratio(of_pictures, of_pictures[0].peer, MODEL)}
        results.save(file, "engine", of_pictures, ratios, about)
        results.save(file, "video", of_videos, {}, about)


@app.command()
def page(
    file: Annotated[Path, typer.Argument(help="What --results has written.")],
    page: Annotated[Path, typer.Argument(help="Where its tables go.")] = PAGE,
) -> None:
    """Put the tables of the results into docs/performance.md."""
    results.fill(page, file)


def _ratios(measured: Sequence[Measurement]) -> dict[str, float | None]:
    pairs = {"stream_vs_kafka_streams": "Kafka Streams", "stream_vs_aiokafka": "aiokafka"}
    return {name: results.ratio(measured, PEERS[0].name, peer) for name, peer in pairs.items()}


async def _stream(peers: Sequence[Peer], rotations: int, events: int) -> list[Measurement]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics come and go here
    commands = {each.name: each.prepare() for each in peers}
    machine.stay_on(machine.cores()[1])
    runs = []
    logs = BUILT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with Stack(BUILT / "stack") as stack:
        benchmark = StreamBenchmark(stack, logs, events)
        await benchmark.prepare()
        for rotation in range(rotations):
            for peer in _rotated(peers, rotation):
                runs.append(await benchmark.run(peer, commands[peer.name]))
                console.print(f"{rotation + 1}/{rotations}  {runs[-1].rate:>9,.0f}/s  {peer.name}")
    return runs


async def _engine(
    rotations: int, images: int, videos: int, seconds: int
) -> tuple[list[Measurement], list[Measurement]]:
    with tempfile.TemporaryDirectory() as scratch:
        benchmark = EngineBenchmark(Path(scratch))
        async with served(Path(scratch)) as address:
            return (
                await _runs(benchmark, benchmark.of_pictures(address, images), rotations),
                await _runs(benchmark, benchmark.of_videos(address, videos, seconds), rotations),
            )


async def _runs(benchmark: EngineBenchmark, jobs: Sequence[Job], rotations: int) -> list[Measurement]:
    runs = []
    for rotation in range(rotations):
        for job in _rotated(jobs, rotation):
            runs.append(await benchmark.run(job))
            console.print(f"{rotation + 1}/{rotations}  {runs[-1].rate:>9,.1f}/s  {job.name}")
    return runs


def _rotated(each: Sequence[Each], by: int) -> Sequence[Each]:
    first = by % len(each)
    return [*each[first:], *each[:first]]


if __name__ == "__main__":
    sys.exit(app())
