"""Runs what is measured, in rotation, and shows and saves the medians."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console

from benchmarks import machine, results
from benchmarks.peer import Command, Peer
from benchmarks.prepare import BUILT
from benchmarks.results import Measurement
from devstack.stack import Stack

Each = TypeVar("Each")

console = Console()


class OfPeers(Protocol):
    """An area in which Mediagate and others do the same work."""

    async def prepare(self) -> None:
        """Makes what all runs share."""
        ...

    async def run(self, peer: Peer, command: Command) -> Measurement:
        """One peer, once; raises RuntimeError where its work is not as it must be."""
        ...


class Alone(Protocol):
    """An area in which Mediagate is measured alone."""

    async def prepare(self) -> None:
        """Makes what all runs share."""
        ...

    async def run(self) -> Sequence[Measurement]:
        """One rotation; raises RuntimeError where the work is not as it must be."""
        ...


def of_peers(
    make: Callable[[Stack, Path], OfPeers], peers: Sequence[Peer], names: list[str] | None, rotations: int
) -> list[Measurement]:
    """Medians of the peers whose name begins like one of `names`, or of all."""
    chosen = [each for each in peers if names is None or each.name.startswith(tuple(names))]
    return results.medians(asyncio.run(_of_peers(make, chosen, rotations)))


def alone(make: Callable[[Stack, Path], Alone], rotations: int) -> list[Measurement]:
    """Medians of what each rotation measures."""
    return results.medians(asyncio.run(_alone(make, rotations)))


def ratios(measured: Sequence[Measurement], ours: str, theirs: Mapping[str, str]) -> dict[str, float | None]:
    """How many times as fast we are as each of the others, by the name of the ratio."""
    return {name: results.ratio(measured, ours, peer) for name, peer in theirs.items()}


def notes(peers: Sequence[Peer]) -> dict[str, str]:
    """What each promises less."""
    return {each.name: each.weaker for each in peers}


def conclude(
    area: str,
    title: str,
    measured: Sequence[Measurement],
    file: Path | None,
    ratios: Mapping[str, float | None],
    notes: Mapping[str, str] | None = None,
) -> None:
    """Shows an area's figures, and saves them where a file is named."""
    console.print(results.table(title, measured, notes or {}))
    if file is not None:
        results.save(file, area, measured, ratios, machine.about_this_machine())


def show_progress(rotation: int, rotations: int, measured: Measurement) -> None:
    """A line for each run."""
    console.print(f"{rotation + 1}/{rotations}  {measured.rate:>9,.0f}/s  {measured.peer}")


def rotated(each: Sequence[Each], by: int) -> Sequence[Each]:
    """The same, another one first."""
    first = by % len(each)
    return [*each[first:], *each[:first]]


async def _of_peers(
    make: Callable[[Stack, Path], OfPeers], peers: Sequence[Peer], rotations: int
) -> list[Measurement]:
    commands = {each.name: each.prepare() for each in peers}
    runs = []
    with _stack() as (stack, logs):
        benchmark = make(stack, logs)
        await benchmark.prepare()
        for rotation in range(rotations):
            for peer in rotated(peers, rotation):
                runs.append(await benchmark.run(peer, commands[peer.name]))
                show_progress(rotation, rotations, runs[-1])
    return runs


async def _alone(make: Callable[[Stack, Path], Alone], rotations: int) -> list[Measurement]:
    runs = []
    with _stack() as (stack, logs):
        benchmark = make(stack, logs)
        await benchmark.prepare()
        for rotation in range(rotations):
            for measured in await benchmark.run():
                runs.append(measured)
                show_progress(rotation, rotations, measured)
    return runs


@contextmanager
def _stack() -> Iterator[tuple[Stack, Path]]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics come and go here
    machine.stay_on(machine.cores()[1])
    logs = BUILT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with Stack(BUILT / "stack") as stack:
        yield stack, logs
