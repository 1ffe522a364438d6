"""Has the engine's jobs done in rotation."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engine.bench import EngineBenchmark, Job, served
from benchmarks.results import Measurement, medians
from benchmarks.running import rotated, show_progress


def engine(
    rotations: int, images: int, videos: int, seconds: int
) -> tuple[list[Measurement], list[Measurement]]:
    """Medians of pictures, and of videos."""
    of_pictures, of_videos = asyncio.run(_engine(rotations, images, videos, seconds))
    return medians(of_pictures), medians(of_videos)


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
        for job in rotated(jobs, rotation):
            runs.append(await benchmark.run(job))
            show_progress(rotation, rotations, runs[-1])
    return runs
