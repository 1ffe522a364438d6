"""`python -m benchmarks`: Mediagate beside what a user would pick instead."""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console

from benchmarks import machine, results
from benchmarks.prepare import BUILT
from benchmarks.results import Measurement
from benchmarks.sinks import peers as movers
from benchmarks.sinks.bench import SinksBenchmark
from benchmarks.stream.bench import StreamBenchmark
from benchmarks.stream.peers import PEERS, Command, Peer
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
Objects = Annotated[int, typer.Option(min=100, help="Objects to move in each run.")]
OURS = "mediagate"


class Benchmark(Protocol):
    """An area: what its runs share, and one run."""

    async def prepare(self) -> None:
        """Makes what is there for all runs."""
        ...

    async def run(self, peer: Peer, command: Command) -> Measurement:
        """One peer, once; raises RuntimeError where its work is not as it must be."""
        ...


@app.command()
def stream(
    peer: Names = None, rotations: Rotations = 3, events: Events = 100_000, file: Results = None
) -> None:
    """Windows of 50, one decision an upload, committed once the broker has acknowledged."""
    measured = _measure(lambda stack, logs: StreamBenchmark(stack, logs, events), PEERS, peer, rotations)
    _show(f"Stream, {events:,} uploads", measured, PEERS)
    pairs = {"stream_vs_kafka_streams": "Kafka Streams", "stream_vs_aiokafka": "aiokafka"}
    _save(file, "stream", measured, pairs)


@app.command()
def sinks(
    peer: Names = None, rotations: Rotations = 3, objects: Objects = 10_000, file: Results = None
) -> None:
    """Approved objects of 200 KB into their permanent bucket, recorded and announced."""
    measured = _measure(
        lambda stack, logs: SinksBenchmark(stack, logs, objects), movers.PEERS, peer, rotations
    )
    _show(f"Sinks, {objects:,} objects", measured, movers.PEERS)
    _save(file, "sinks", measured, {"sink_vs_copy": movers.COPY})


@app.command()
def page(
    file: Annotated[Path, typer.Argument(help="What --results has written.")],
    page: Annotated[Path, typer.Argument(help="Where its tables go.")] = PAGE,
) -> None:
    """Put the tables of the results into docs/performance.md."""
    results.fill(page, file)


def _measure(
    make: Callable[[Stack, Path], Benchmark], peers: Sequence[Peer], names: Names, rotations: int
) -> list[Measurement]:
    chosen = [each for each in peers if names is None or each.name.startswith(tuple(names))]
    return results.medians(asyncio.run(_rotate(make, chosen, rotations)))


def _show(title: str, measured: Sequence[Measurement], peers: Sequence[Peer]) -> None:
    console.print(results.table(title, measured, {each.name: each.weaker for each in peers}))


def _save(file: Path | None, area: str, measured: Sequence[Measurement], pairs: Mapping[str, str]) -> None:
    if file is not None:
        ratios = {name: results.ratio(measured, OURS, peer) for name, peer in pairs.items()}
        results.save(file, area, measured, ratios, machine.about_this_machine())


async def _rotate(
    make: Callable[[Stack, Path], Benchmark], peers: Sequence[Peer], rotations: int
) -> list[Measurement]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics come and go here
    commands = {each.name: each.prepare() for each in peers}
    machine.stay_on(machine.cores()[1])
    runs = []
    logs = BUILT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with Stack(BUILT / "stack") as stack:
        benchmark = make(stack, logs)
        await benchmark.prepare()
        for rotation in range(rotations):
            for peer in (*peers[rotation % len(peers) :], *peers[: rotation % len(peers)]):
                runs.append(await benchmark.run(peer, commands[peer.name]))
                console.print(f"{rotation + 1}/{rotations}  {runs[-1].rate:>9,.0f}/s  {peer.name}")
    return runs


if __name__ == "__main__":
    sys.exit(app())
