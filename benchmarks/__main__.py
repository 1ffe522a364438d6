"""`python -m benchmarks`: Mediagate beside what a user would pick instead."""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console

from benchmarks import machine, results
from benchmarks.gateway.bench import GatewayBenchmark
from benchmarks.gateway.peers import PEERS as GATEWAY_PEERS
from benchmarks.prepare import BUILT
from benchmarks.results import Measurement
from benchmarks.stream.bench import StreamBenchmark
from benchmarks.stream.peers import PEERS as STREAM_PEERS
from benchmarks.stream.peers import Command, Peer
from devstack.stack import Stack

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

Names = Annotated[
    list[str] | None, typer.Option("--peer", help="Only those whose name begins so; repeatable.")
]
Rotations = Annotated[int, typer.Option(min=1, help="How often each peer runs; medians are shown.")]
Results = Annotated[Path | None, typer.Option("--results", help="Write the figures there, as JSON.")]
Seconds = Annotated[
    float, typer.Option(min=1, help="How long each run is measured, after a warm-up of as long.")
]
Events = Annotated[int, typer.Option(min=1000, help="Uploads to decide on in each run.")]


class Benchmark(Protocol):
    """An area on one stack of services."""

    async def prepare(self) -> None:
        """Makes what all runs share."""
        ...

    async def run(self, peer: Peer, command: Command) -> Measurement:
        """One peer, once; raises RuntimeError where it did not do its work."""
        ...


@app.command()
def stream(
    peer: Names = None, rotations: Rotations = 3, events: Events = 100_000, file: Results = None
) -> None:
    """Windows of 50, one decision an upload, committed once the broker has acknowledged."""
    chosen = [each for each in STREAM_PEERS if peer is None or each.name.startswith(tuple(peer))]
    benchmark = partial(StreamBenchmark, events=events)
    measured = results.medians(asyncio.run(_measure(chosen, rotations, benchmark)))
    notes = {each.name: each.weaker for each in STREAM_PEERS}
    console.print(results.table(f"Stream, {events:,} uploads", measured, notes))
    if file is not None:
        pairs = {"stream_vs_kafka_streams": "Kafka Streams", "stream_vs_aiokafka": "aiokafka"}
        ratios = _ratios(measured, STREAM_PEERS[0], pairs)
        results.save(file, "stream", measured, ratios, machine.about_this_machine())


@app.command()
def gateway(
    peer: Names = None, rotations: Rotations = 3, seconds: Seconds = 10, file: Results = None
) -> None:
    """Signed upload URLs for 32 connections, each answered once its row is committed."""
    chosen = [each for each in GATEWAY_PEERS if peer is None or each.name.startswith(tuple(peer))]
    benchmark = partial(GatewayBenchmark, seconds=seconds)
    measured = results.medians(asyncio.run(_measure(chosen, rotations, benchmark)))
    notes = {each.name: each.weaker for each in GATEWAY_PEERS}
    console.print(results.table("Gateway, request-upload", measured, notes))
    if file is not None:
        pairs = {"gateway_vs_express": "Express", "gateway_vs_fastapi": "FastAPI"}
        ratios = _ratios(measured, GATEWAY_PEERS[0], pairs)
        results.save(file, "gateway", measured, ratios, machine.about_this_machine())


@app.command()
def page(
    file: Annotated[Path, typer.Argument(help="What --results has written.")],
    page: Annotated[Path, typer.Argument(help="Where its tables go.")] = PAGE,
) -> None:
    """Put the tables of the results into docs/performance.md."""
    results.fill(page, file)


def _ratios(
    measured: Sequence[Measurement], ours: Peer, theirs: Mapping[str, str]
) -> dict[str, float | None]:
    return {name: results.ratio(measured, ours.name, peer) for name, peer in theirs.items()}


async def _measure(
    peers: Sequence[Peer], rotations: int, benchmark_on: Callable[[Stack, Path], Benchmark]
) -> list[Measurement]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics come and go here
    commands = {each.name: each.prepare() for each in peers}
    machine.stay_on(machine.cores()[1])
    runs = []
    logs = BUILT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with Stack(BUILT / "stack") as stack:
        benchmark = benchmark_on(stack, logs)
        await benchmark.prepare()
        for rotation in range(rotations):
            for peer in (*peers[rotation % len(peers) :], *peers[: rotation % len(peers)]):
                runs.append(await benchmark.run(peer, commands[peer.name]))
                console.print(f"{rotation + 1}/{rotations}  {runs[-1].rate:>9,.0f}/s  {peer.name}")
    return runs


if __name__ == "__main__":
    sys.exit(app())
