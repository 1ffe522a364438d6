"""Every fault that strikes, by name."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

import asyncpg

from devstack.service import Service
from mediagate.failpoints import Action, Step
from tests.faults.fleet import POLL, MissedError, Worker
from tests.faults.http_proxy import Answer
from tests.faults.proxy import Mode, Proxy
from tests.faults.script import Mood
from tests.faults.servers import end_without_room, freeze, refuse_without_room
from tests.faults.stage import Stage

LASTS = 3.0
"""Seconds of a fault that has a length."""
KAFKA_FROZEN, POSTGRES_FROZEN, S3_FROZEN = 45.0, 20.0, 25.0
"""Seconds: past every session and deadline of Kafka's clients; past COMMAND_TIMEOUT; past a RemoteFile's."""
LATEST_HIT = {
    **dict.fromkeys((Step.MID_WINDOW, Step.MID_SCAN, Step.BEFORE_COMMIT), 2),
    **dict.fromkeys((Step.AFTER_INSERT, Step.AFTER_QUEUE, Step.AFTER_ANNOUNCE), 3),
}
"""Of steps that are passed once a window, and once a client's upload; the others once any upload."""
EARLY = 6
TERMINATIONS = 4
SOMEBODY_COMES = 30.0
END_EVERY_SESSION = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
)


class Lane(StrEnum):
    """Faults of different lanes strike at the same time."""

    GATEWAY = "gateway"
    STREAMS = "streams"
    SINKS = "sinks"
    AROUND = "around"


PROCESSES = (Lane.GATEWAY, Lane.STREAMS, Lane.SINKS)


@dataclass(frozen=True, slots=True)
class Fault:
    """Strikes once, or raises MissedError; `kills` counts the processes that die by it."""

    name: str
    lane: Lane
    strike: Callable[[Stage, Random], Awaitable[None]]
    kills: int = 0


def faults() -> Sequence[Fault]:
    """All of them."""
    return [
        *(_at_step(step, action) for step in Step for action in (Action.KILL, Action.STOP)),
        *(_kill(lane) for lane in PROCESSES),
        *(_pause(lane) for lane in PROCESSES),
        *(_joining(lane) for lane in (Lane.STREAMS, Lane.SINKS)),
        Fault("kafka crashes", Lane.AROUND, _crash(lambda stage: stage.stack.kafka), 1),
        Fault("postgres crashes", Lane.AROUND, _crash(lambda stage: stage.stack.postgres), 1),
        Fault("s3 crashes", Lane.AROUND, _crash(lambda stage: stage.stack.s3), 1),
        Fault("kafka freezes", Lane.AROUND, freeze(lambda stage: stage.stack.kafka, KAFKA_FROZEN)),
        Fault("postgres freezes", Lane.AROUND, freeze(lambda stage: stage.stack.postgres, POSTGRES_FROZEN)),
        Fault("s3 freezes", Lane.AROUND, freeze(lambda stage: stage.stack.s3, S3_FROZEN)),
        Fault("kafka without room", Lane.AROUND, end_without_room(lambda stage: stage.stack.kafka), 1),
        Fault("postgres without room", Lane.AROUND, end_without_room(lambda stage: stage.stack.postgres), 1),
        Fault("s3 without room", Lane.AROUND, refuse_without_room),
        Fault("postgres ends every session", Lane.AROUND, _end_sessions),
        *(_network("s3", lambda stage: stage.s3, mode) for mode in Mode if mode is not Mode.PASS),
        *(_network("postgres", lambda stage: stage.postgres, mode) for mode in Mode if mode is not Mode.PASS),
        *(_network("kafka", lambda stage: stage.kafka, mode) for mode in Mode if mode is not Mode.PASS),
        *(_answers(answer) for answer in Answer if answer is not Answer.PASS),
        *(_scanner(mood) for mood in Mood if mood is not Mood.WELL),
        Fault("poison", Lane.AROUND, lambda stage, random: stage.poisoned(random)),
        Fault("events again", Lane.AROUND, lambda stage, random: stage.replayed(random)),
    ]


def lane_of(step: Step) -> Lane:
    """Whose step it is; the streams workers stand for all that publish."""
    owner = step.partition(".")[0]
    return next((lane for lane in PROCESSES if lane == owner), Lane.STREAMS)


def some_passage(step: Step, random: Random) -> int:
    """An early passage of the step."""
    return random.randint(1, LATEST_HIT.get(step, EARLY))


def _at_step(step: Step, action: Action) -> Fault:
    lane = lane_of(step)

    async def strike(stage: Stage, random: Random) -> None:
        worker = random.choice(stage.workers_of(lane))
        await worker.struck_at(step, action, some_passage(step, random))

    return Fault(f"{action} at {step}", lane, strike, kills=int(action is Action.KILL))


def _kill(lane: Lane) -> Fault:
    async def strike(stage: Stage, random: Random) -> None:
        await asyncio.sleep(random.uniform(0, LASTS))
        await random.choice(stage.workers_of(lane)).killed()

    return Fault(f"kill {lane}", lane, strike, kills=1)


def _pause(lane: Lane) -> Fault:
    async def strike(stage: Stage, random: Random) -> None:
        await random.choice(stage.workers_of(lane)).paused()

    return Fault(f"pause {lane}", lane, strike)


def _joining(lane: Lane) -> Fault:
    async def strike(stage: Stage, random: Random) -> None:
        for number, leaves in enumerate((Worker.killed, Worker.drained)):
            async with stage.worker(lane, 10 + number).running() as guest:
                await guest.ready()
                await asyncio.sleep(random.uniform(0, LASTS))
                await leaves(guest)

    return Fault(f"{lane} join and leave", lane, strike, kills=1)


def _crash(service_of: Callable[[Stage], Service]) -> Callable[[Stage, Random], Awaitable[None]]:
    async def strike(stage: Stage, random: Random) -> None:
        service = service_of(stage)
        try:
            await asyncio.to_thread(service.kill)
            await asyncio.sleep(random.uniform(0, LASTS))
        finally:
            await asyncio.to_thread(service.start)

    return strike


async def _end_sessions(stage: Stage, random: Random) -> None:
    connection = await asyncpg.connect(str(stage.settings.database_url), timeout=10)
    try:
        for _ in range(TERMINATIONS):
            await connection.execute(END_EVERY_SESSION, timeout=10)
            await asyncio.sleep(random.uniform(0, 1))
    finally:
        await connection.close()


def _network(name: str, proxy_of: Callable[[Stage], Proxy], mode: Mode) -> Fault:
    async def strike(stage: Stage, random: Random) -> None:
        proxy = proxy_of(stage)
        before = proxy.strikes
        proxy.set(mode)
        try:
            await _somebody_is_struck(proxy, before)
        finally:
            proxy.set(Mode.PASS)

    return Fault(f"network of {name}: {mode}", Lane.AROUND, strike)


def _answers(answer: Answer) -> Fault:
    async def strike(stage: Stage, random: Random) -> None:
        before = stage.s3.strikes
        stage.s3.answer = answer
        try:
            await _somebody_is_struck(stage.s3, before)
        finally:
            stage.s3.answer = Answer.PASS

    return Fault(f"s3 answers: {answer}", Lane.AROUND, strike)


async def _somebody_is_struck(proxy: Proxy, before: int) -> None:
    try:
        await asyncio.sleep(LASTS)
        async with asyncio.timeout(SOMEBODY_COMES):
            while proxy.strikes == before:  # noqa: ASYNC110 - it is nobody's event
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise MissedError("nothing passed the proxy") from None


def _scanner(mood: Mood) -> Fault:
    async def strike(stage: Stage, random: Random) -> None:
        stage.scanner_is(mood)
        await asyncio.sleep(LASTS)
        stage.scanner_is(Mood.WELL)

    return Fault(f"scanner {mood}", Lane.AROUND, strike)
