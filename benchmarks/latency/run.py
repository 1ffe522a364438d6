"""Has the designs run in rotation, each time beside S3 alone."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.latency.bench import LatencyBenchmark, net
from benchmarks.latency.designs import DESIGNS, MEDIAGATE, REFERENCE, Design
from benchmarks.results import Measurement
from benchmarks.running import rotated
from devstack.stack import Stack


class Latency:
    """What the designs whose name begins like one of `names` add; of all where there are none."""

    def __init__(
        self, stack: Stack, logs: Path, *, names: list[str] | None, seconds: float, rate: float
    ) -> None:
        self._designs = [each for each in DESIGNS if names is None or each.name.startswith(tuple(names))]
        self._commands = {each.name: each.prepare() for each in self._designs}
        self._benchmark = LatencyBenchmark(stack, logs, seconds, rate)
        self._rotation = 0

    async def prepare(self) -> None:
        """Makes tables and buckets."""
        await self._benchmark.prepare()

    async def run(self) -> Sequence[Measurement]:
        """One rotation: to the decision and to published of each, then what S3 takes alone."""
        alone = await self._benchmark.s3_alone()
        runs = []
        for design in rotated(self._designs, self._rotation):
            to_decision, to_published = await self._benchmark.run(design, self._commands[design.name])
            runs += [to_decision, net(to_published, alone)]
        self._rotation += 1
        return [*runs, alone]


def notes() -> dict[str, str]:
    """What the designs promise less."""
    return {_to_decision(each): each.weaker for each in DESIGNS}


def share_of_reference(measured: Sequence[Measurement]) -> float | None:
    """Our median latency, as a share of the reference's."""
    ours, theirs = (
        [each.p50_ms for each in measured if each.peer.startswith(f"{design.name},")]
        for design in (MEDIAGATE, REFERENCE)
    )
    known = [sum(value for value in values if value is not None) for values in (ours, theirs) if values]
    return round(known[0] / known[1], 3) if len(known) == 2 else None


def _to_decision(design: Design) -> str:
    return f"{design.name}, to decision"
