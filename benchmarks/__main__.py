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


if __name__ == "__main__":
    sys.exit(app())
