"""Faults of every kind, several at once, in an order of chance, while uploads come in.

FAULTS=short: every fault of the workers once, and meanwhile those around them. FAULTS=long: episodes of both
for FAULTS_MINUTES, after each of which all must come to rest. FAULTS_SEED repeats a run.
"""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

from tests.faults.checker import violations
from tests.faults.faults import Fault, Lane, faults
from tests.faults.fleet import MissedError
from tests.faults.report import Report
from tests.faults.stage import Stage
from tests.faults.uploads import Upload, chance, uploads

Strike = tuple[Fault, Random]

ROOT = Path(__file__).parents[2]
REPORT = ROOT / ".devstack" / "faults-report.md"
BETWEEN_MOMENTS = 10.0
LONG = os.environ.get("FAULTS") == "long"
MINUTES = float(os.environ.get("FAULTS_MINUTES", "60"))
QUIET, EPISODE = 130.0, 100.0
"""Seconds of a long run in which uploads come in and nothing strikes; and then faults do."""
WORKERS, SPARED, FEEDERS, FED_AT_ONCE, PATIENCE = (3, 1, 4, 30, 600.0) if LONG else (2, 0, 2, 8, 60.0)
"""Of a long run one worker of each kind is never struck itself: only a long life shows a leak."""
LEAST_KILLS = 20
TRIES = 3
CALM = 0.0 if LONG else 8.0
"""Seconds between two faults of the services: a short run has no time for workers that cannot start."""
KILLS, RESTARTS, FREEZES = (10, 7, 1) if LONG else (6, 1, 0)
TIMES = {
    **dict.fromkeys(("kill streams", "kill sinks"), KILLS),
    **dict.fromkeys(("kafka crashes", "postgres crashes"), RESTARTS),
    **dict.fromkeys(("kafka freezes", "postgres freezes", "s3 freezes"), FREEZES),
}
"""Times in a round, of which every other fault has one."""


async def test_nothing_is_lost_and_nothing_is_done_twice(stage: Stage) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"FAULTS_SEED={seed}\n")
    random, report = chance(seed), Report(seed)
    source, feeding = uploads(chance(random.getrandbits(32))), chance(random.getrandbits(32))
    lanes = {lane: _order(lane, chance(random.getrandbits(32))) for lane in Lane}
    stage.spared, started = SPARED, time.monotonic()
    async with stage.workers(WORKERS, WORKERS):
        while not report.episodes or (LONG and time.monotonic() < started + MINUTES * 60):
            async with coming_in(stage, source, feeding):
                if LONG:
                    await asyncio.sleep(QUIET)
                await strike(stage, lanes, report)
            report.add(await come_to_rest(stage, report), stage)
        await stage.look()
        exits = await stage.drained()
        report.violations += [f"a worker drained and ended with {code}" for code in exits if code]
    report.seconds = time.monotonic() - started
    evidence = await stage.evidence()
    report.violations += violations(evidence)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(report.text(stage, evidence))
    sys.stdout.write(REPORT.read_text())
    assert report.violations == []
    assert report.kills >= LEAST_KILLS


@asynccontextmanager
async def coming_in(stage: Stage, source: Iterator[Upload], random: Random) -> AsyncIterator[None]:
    """Inside, uploads come in, and offsets are compared now and then."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(FEEDERS):
            tasks.create_task(stage.feed(source, chance(random.getrandbits(32)), enough, FED_AT_ONCE))
        tasks.create_task(look_now_and_then(stage, enough))
        yield
        enough.set()


async def come_to_rest(stage: Stage, report: Report) -> float:
    """Seconds that it took; what is still open when patience ends is a violation."""
    began = time.monotonic()
    try:
        await stage.settled(PATIENCE)
    except TimeoutError as error:
        report.violations.append(f"not at rest {error}")
    return time.monotonic() - began


async def strike(stage: Stage, lanes: Mapping[Lane, Iterator[Strike]], report: Report) -> None:
    """An episode, the lanes beside each other; of a short run every fault of the workers strikes once."""
    until = time.monotonic() + EPISODE
    async with asyncio.TaskGroup() as tasks:
        rounds = []
        for lane in set(Lane) - {Lane.AROUND}:
            goes_on = _before(until) if LONG else _once(lane)
            rounds.append(tasks.create_task(_strike_lane(stage, lanes[lane], goes_on, report)))
        goes_on = _before(until) if LONG else lambda: not all(each.done() for each in rounds)
        tasks.create_task(_strike_lane(stage, lanes[Lane.AROUND], goes_on, report))


async def look_now_and_then(stage: Stage, enough: asyncio.Event) -> None:
    """Compares offsets while faults strike; a broker that is away is asked again later."""
    while not enough.is_set():
        await stage.look_if_possible()
        await asyncio.sleep(BETWEEN_MOMENTS)


async def _strike_lane(
    stage: Stage, order: Iterator[Strike], goes_on: Callable[[], bool], report: Report
) -> None:
    while goes_on():
        fault, random = next(order)
        if await _struck(stage, fault, random):
            report.struck[fault.name] += 1
            report.kills += fault.kills
        else:
            report.missed[fault.name] += 1
        if fault.lane is Lane.AROUND:
            await asyncio.sleep(CALM)


def _before(until: float) -> Callable[[], bool]:
    return lambda: time.monotonic() < until


def _once(lane: Lane) -> Callable[[], bool]:
    left = iter(_round(lane))
    return lambda: next(left, None) is not None


async def _struck(stage: Stage, fault: Fault, random: Random) -> bool:
    """Whether the fault found somebody: what another lane did to its worker may have been first."""
    for _ in range(TRIES):
        with suppress(MissedError):
            await fault.strike(stage, random)
            return True
    return False


def _order(lane: Lane, random: Random) -> Iterator[Strike]:
    """Rounds without end, each with every fault of the lane in an order of chance."""
    while True:
        chosen = _round(lane)
        random.shuffle(chosen)
        for fault in chosen:
            yield fault, chance(random.getrandbits(32))


def _round(lane: Lane) -> list[Fault]:
    return [each for each in faults() if each.lane is lane for _ in range(TIMES.get(each.name, 1))]
