"""`python -m benchmarks`: Mediagate beside what a user would pick instead."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import machine, results
from benchmarks.latency.bench import LatencyBenchmark, net
from benchmarks.latency.designs import DESIGNS, MEDIAGATE, REFERENCE, Design
from benchmarks.prepare import BUILT
from benchmarks.results import Measurement
from benchmarks.stream.bench import StreamBenchmark
from benchmarks.stream.peers import PEERS, Peer
from devstack.stack import Stack

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
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
def latency(
    peer: Names = None,
    rotations: Rotations = 3,
    seconds: Annotated[float, typer.Option(min=1, help="How long uploads are completed in each run.")] = 20,
    rate: Annotated[float, typer.Option(min=1, help="Uploads completed a second.")] = 200,
    file: Results = None,
) -> None:
    """From accepted to decided, less the window's wait; from decided to published, less S3 alone."""
    chosen = [each for each in DESIGNS if peer is None or each.name.startswith(tuple(peer))]
    measured = results.medians(asyncio.run(_latency(chosen, rotations, seconds, rate)))
    notes = {f"{each.name}, to decision": each.weaker for each in DESIGNS}
    console.print(results.table(f"Latency at {rate:,.0f} uploads a second", measured, notes))
    if file is not None:
        ratios = {"latency_vs_reference": _share_of_latency(measured)}
        results.save(file, "latency", measured, ratios, machine.about_this_machine())


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
            for peer in (*peers[rotation % len(peers) :], *peers[: rotation % len(peers)]):
                runs.append(await benchmark.run(peer, commands[peer.name]))
                console.print(f"{rotation + 1}/{rotations}  {runs[-1].rate:>9,.0f}/s  {peer.name}")
    return runs


async def _latency(
    designs: Sequence[Design], rotations: int, seconds: float, rate: float
) -> list[Measurement]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    commands = {each.name: each.prepare() for each in designs}
    machine.stay_on(machine.cores()[1])
    runs = []
    logs = BUILT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with Stack(BUILT / "stack") as stack:
        benchmark = LatencyBenchmark(stack, logs, seconds, rate)
        await benchmark.prepare()
        for rotation in range(rotations):
            alone = await benchmark.s3_alone()
            console.print(f"{rotation + 1}/{rotations}  {alone.rate:>9,.0f}/s  {alone.peer}")
            for design in (*designs[rotation % len(designs) :], *designs[: rotation % len(designs)]):
                to_decision, to_published = await benchmark.run(design, commands[design.name])
                runs += [to_decision, net(to_published, alone)]
                console.print(f"{rotation + 1}/{rotations}  {to_published.rate:>9,.0f}/s  {design.name}")
            runs.append(alone)
    return runs


def _share_of_latency(measured: Sequence[Measurement]) -> float | None:
    """Our median latency, as a share of the reference's."""
    ours, theirs = (
        [each.p50_ms for each in measured if each.peer.startswith(f"{design.name},")]
        for design in (MEDIAGATE, REFERENCE)
    )
    known = [sum(value for value in values if value is not None) for values in (ours, theirs) if values]
    return round(known[0] / known[1], 3) if len(known) == 2 else None


if __name__ == "__main__":
    sys.exit(app())
