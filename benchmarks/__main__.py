"""`python -m benchmarks`: Mediagate beside what a user would pick instead."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import plots, results, running, scaling
from benchmarks.engine import run as engine_run
from benchmarks.engine.bench import MODEL
from benchmarks.gateway import peers as gateways
from benchmarks.gateway.bench import GatewayBenchmark
from benchmarks.latency import run as latency_run
from benchmarks.recovery.bench import SweepBenchmark
from benchmarks.replay.bench import ReplayBenchmark
from benchmarks.scale.bench import Backlog, Workers
from benchmarks.sinks import peers as movers
from benchmarks.sinks.bench import SinksBenchmark
from benchmarks.stream import peers as streams
from benchmarks.stream.bench import StreamBenchmark

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
OURS = "mediagate"

Names = Annotated[
    list[str] | None, typer.Option("--peer", help="Only those whose name begins so; repeatable.")
]
Rotations = Annotated[int, typer.Option(min=1, help="How often each peer runs; medians are shown.")]
Results = Annotated[Path | None, typer.Option("--results", help="Write the figures there, as JSON.")]
Events = Annotated[int, typer.Option(min=1000, help="Uploads to decide on in each run.")]
Objects = Annotated[int, typer.Option(min=100, help="Objects to move in each run.")]
Seconds = Annotated[
    float, typer.Option(min=1, help="How long each run is measured, after a warm-up of as long.")
]


@app.command()
def stream(
    peer: Names = None, rotations: Rotations = 3, events: Events = 100_000, file: Results = None
) -> None:
    """Windows of 50, one decision an upload, committed once the broker has acknowledged."""
    measured = running.of_peers(partial(StreamBenchmark, events=events), streams.PEERS, peer, rotations)
    # Mediagate as it is shipped has windows in flight.
    pairs = {
        "stream_vs_kafka_streams": "Kafka Streams",
        "stream_vs_aiokafka": "aiokafka",
        "stream_in_flight_vs_kafka_streams": "Kafka Streams",
    }
    ratios = running.ratios(measured, OURS, pairs)
    running.conclude(
        "stream", f"Stream, {events:,} uploads", measured, file, ratios, running.notes(streams.PEERS)
    )


@app.command()
def gateway(
    peer: Names = None, rotations: Rotations = 3, seconds: Seconds = 10, file: Results = None
) -> None:
    """Signed upload URLs for 32 connections, each answered once its row is committed."""
    measured = running.of_peers(partial(GatewayBenchmark, seconds=seconds), gateways.PEERS, peer, rotations)
    ratios = running.ratios(
        measured, OURS, {"gateway_vs_express": "Express", "gateway_vs_fastapi": "FastAPI"}
    )
    running.conclude(
        "gateway", "Gateway, request-upload", measured, file, ratios, running.notes(gateways.PEERS)
    )


@app.command()
def latency(
    peer: Names = None,
    rotations: Rotations = 3,
    seconds: Annotated[float, typer.Option(min=1, help="How long uploads are completed in each run.")] = 30,
    rate: Annotated[float, typer.Option(min=1, help="Uploads completed a second.")] = 10,
    file: Results = None,
) -> None:
    """From accepted to decided, less the window's wait; from decided to published, less S3 alone."""
    make = partial(latency_run.Latency, names=peer, seconds=seconds, rate=rate)
    measured = running.alone(make, rotations)
    ratios = {"latency_vs_reference": latency_run.share_of_reference(measured)}
    title = f"Latency at {rate:,.0f} uploads a second"
    running.conclude("latency", title, measured, file, ratios, latency_run.notes())


@app.command()
def sinks(
    peer: Names = None, rotations: Rotations = 3, objects: Objects = 10_000, file: Results = None
) -> None:
    """Approved objects of 200 KB into their permanent bucket, recorded and announced."""
    measured = running.of_peers(partial(SinksBenchmark, objects=objects), movers.PEERS, peer, rotations)
    ratios, notes = running.ratios(measured, OURS, {"sink_vs_copy": movers.COPY}), running.notes(movers.PEERS)
    running.conclude("sinks", f"Sinks, {objects:,} objects", measured, file, ratios, notes)


@app.command()
def engine(
    rotations: Rotations = 3,
    images: Annotated[int, typer.Option(min=1, help="Pictures to scan in each run.")] = 200,
    videos: Annotated[int, typer.Option(min=1, help="Videos to scan in each run.")] = 10,
    seconds: Annotated[int, typer.Option(min=1, help="Length of each video.")] = 30,
    file: Results = None,
) -> None:
    """The local scanner on two cores beside its model alone; and what a second of video costs it."""
    of_pictures, of_videos = engine_run.engine(rotations, images, videos, seconds)
    ratios = running.ratios(of_pictures, of_pictures[0].peer, {"engine_vs_model": MODEL})
    running.conclude("engine", f"Engine, {images:,} images, a second and core", of_pictures, file, ratios)
    running.conclude("video", "Engine, seconds of video, a second and core", of_videos, file, {})


@app.command()
def sweep(rotations: Rotations = 3, owed: Events = 100_000, file: Results = None) -> None:
    """Owed rows swept by a worker that decides on live uploads meanwhile."""
    measured = running.alone(partial(SweepBenchmark, owed=owed), rotations)
    running.conclude("sweep", f"Sweep of {owed:,} owed rows", measured, file, {})


@app.command()
def replay(rotations: Rotations = 3, events: Events = 200_000, file: Results = None) -> None:
    """`mediagate replay` of a topic: what it selects a second, and what it publishes."""
    measured = running.alone(partial(ReplayBenchmark, events=events), rotations)
    running.conclude("replay", f"Replay of {events:,} events", measured, file, {})


@app.command()
def backlog(rotations: Rotations = 1, events: Events = 1_000_000, file: Results = None) -> None:
    """One worker on a long backlog: its rate and its memory as it goes on."""
    measured = running.alone(partial(Backlog, events=events), rotations)
    grown = {"backlog_rss_growth": round(measured[-1].peak_rss_mib / measured[0].peak_rss_mib, 3)}
    running.conclude("backlog", f"Backlog of {events:,} uploads", measured, file, grown)


@app.command()
def workers(rotations: Rotations = 3, events: Events = 100_000, file: Results = None) -> None:
    """One, two and four workers that share a topic: CPU per upload."""
    measured = running.alone(partial(Workers, events=events), rotations)
    grown = measured[-1].cpu_seconds_per_10k / measured[0].cpu_seconds_per_10k
    running.conclude(
        "workers", f"Workers, {events:,} uploads", measured, file, {"workers_cpu_growth": round(grown, 3)}
    )


@app.command()
def page(
    file: Annotated[Path, typer.Argument(help="What --results has written.")],
    page: Annotated[Path, typer.Argument(help="Where its tables go.")] = PAGE,
) -> None:
    """Put the results into docs/performance.md, as tables and pictures, and what follows into scaling.md."""
    results.fill(page, file)
    plots.draw(results.load(file), page.parent / "images")
    scaling.fill(page.parent / "scaling.md", file)


if __name__ == "__main__":
    sys.exit(app())
