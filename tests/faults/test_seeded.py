"""Faults of every kind, several at once, in an order of chance, while uploads come in.

FAULTS=short: every fault once. FAULTS=long: again and again for FAULTS_MINUTES. FAULTS_SEED repeats a run.
"""

import asyncio
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.faults.checker import violations
from tests.faults.faults import Fault, Lane, faults
from tests.faults.fleet import MissedError
from tests.faults.report import Report
from tests.faults.stage import Stage
from tests.faults.uploads import chance, uploads

ROOT = Path(__file__).parents[2]
REPORT = ROOT / ".devstack" / "faults-report.md"
STREAMS, SINKS = 2, 2
BETWEEN_MOMENTS = 10.0
LONG = os.environ.get("FAULTS") == "long"
MINUTES = float(os.environ.get("FAULTS_MINUTES", "60"))
LEAST_KILLS = 20
TRIES = 3
FED_AT_ONCE, PATIENCE = (24, 600.0) if LONG else (6, 60.0)
TIMES = {"kill streams": 6, "kill sinks": 6}
"""Times in a round, of which every other fault has one."""


async def test_nothing_is_lost_and_nothing_is_done_twice(stage: Stage) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"FAULTS_SEED={seed}\n")
    random, report, enough = chance(seed), Report(seed), asyncio.Event()
    started = time.monotonic()
    async with stage.workers(STREAMS, SINKS):
        async with asyncio.TaskGroup() as tasks:
            source, order = uploads(chance(random.getrandbits(32))), chance(random.getrandbits(32))
            tasks.create_task(stage.feed(source, order, enough, FED_AT_ONCE))
            tasks.create_task(look_now_and_then(stage, enough))
            await strike(stage, random, report, started + (MINUTES * 60 if LONG else 0))
            enough.set()
        report.seconds = time.monotonic() - started
        report.violations += await come_to_rest(stage)
        report.settled_after = time.monotonic() - started - report.seconds
        await stage.look()
        exits = await stage.drained()
        report.violations += [f"a worker drained and ended with {code}" for code in exits if code]
    evidence = await stage.evidence()
    report.violations += violations(evidence)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(report.text(stage, evidence))
    sys.stdout.write(REPORT.read_text())
    assert report.violations == []
    assert report.kills >= LEAST_KILLS


async def come_to_rest(stage: Stage) -> list[str]:
    """What is still open when patience ends; usually nothing."""
    try:
        await stage.settled(PATIENCE)
    except TimeoutError as error:
        return [f"not at rest {error}"]
    return []


async def strike(stage: Stage, random: Random, report: Report, until: float) -> None:
    """Rounds of all faults, the lanes beside each other; one round at least."""
    async with asyncio.TaskGroup() as tasks:
        for lane in Lane:
            tasks.create_task(_strike_lane(stage, lane, chance(random.getrandbits(32)), report, until))


async def look_now_and_then(stage: Stage, enough: asyncio.Event) -> None:
    """Compares offsets while faults strike; a broker that is away is asked again later."""
    while not enough.is_set():
        await stage.look_if_possible()
        await asyncio.sleep(BETWEEN_MOMENTS)


async def _strike_lane(stage: Stage, lane: Lane, random: Random, report: Report, until: float) -> None:
    while True:
        for fault in _round(lane, random):
            if await _struck(stage, fault, chance(random.getrandbits(32))):
                report.struck[fault.name] += 1
                report.kills += fault.kills
            else:
                report.missed[fault.name] += 1
        if time.monotonic() >= until:
            return


async def _struck(stage: Stage, fault: Fault, random: Random) -> bool:
    """Whether the fault found somebody: what another lane did to its worker may have been first."""
    for _ in range(TRIES):
        with suppress(MissedError):
            await fault.strike(stage, random)
            return True
    return False


def _round(lane: Lane, random: Random) -> list[Fault]:
    chosen = [each for each in faults() if each.lane is lane for _ in range(TIMES.get(each.name, 1))]
    random.shuffle(chosen)
    return chosen
