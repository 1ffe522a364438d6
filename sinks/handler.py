"""One record from its arrival to its end: carried out, or dead-lettered; retried meanwhile."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar

import stamina
import structlog

from mediagate import metrics
from mediagate.dead_letters import dead_letter
from mediagate.errors import DeadLetterError, StopError, TransientError
from mediagate.events import Decision, Event, EventType, Override, decode
from mediagate.jobs import State
from mediagate.publisher import Publisher
from mediagate.topics import Topics
from sinks.decisions import decode_decision

ATTEMPTS = 10
LONGEST_WAIT = 20.0
"""Seconds between two attempts; ten take most of a minute."""
RETRY = stamina.AsyncRetryingCaller(attempts=ATTEMPTS, timeout=None, wait_max=LONGEST_WAIT).on(TransientError)

Argument = TypeVar("Argument")
Result = TypeVar("Result")
CarryOut = Callable[[Event[Decision]], Awaitable[State]]
CarryOutOverride = Callable[[Event[Override]], Awaitable[State]]

log = structlog.get_logger("sinks.handler")


class Cap(Protocol):
    """Keeps a topic from being dead-lettered as a whole."""

    def passed(self, stream: str) -> None:
        """Notes a record that was no dead letter."""
        ...

    async def refusal(self, stream: str, faults: Sequence[DeadLetterError]) -> str | None:
        """Why these must not become dead letters, else None."""
        ...


class Handler:
    """Handles Faust messages of the topics of decisions; raises StopError where the process must end."""

    def __init__(
        self,
        topics: Topics,
        carry_out: CarryOut,
        override: CarryOutOverride,
        publisher: Publisher,
        cap: Cap,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._expected: Mapping[str, EventType] = {
            topics.approved.name: EventType.APPROVED,
            topics.rejected.name: EventType.REJECTED,
            topics.held.name: EventType.HELD,
        }
        self._override_topic = topics.overrides.name
        self._dead_letter_topic = topics.dead_letter.name
        self._carry_out = carry_out
        self._override = override
        self._publisher = publisher
        self._cap = cap
        self._clock = clock

    async def __call__(self, message: Any) -> None:
        """Returns when the record may be acknowledged."""
        started = self._clock()
        try:
            if message.topic == self._override_topic:
                state = await self._carry_out_override(message)
            else:
                state = await self._carry_out_decision(message)
        except DeadLetterError as error:
            await self._bury(message, error)
            return
        self._cap.passed(message.topic)
        metrics.EFFECTS.labels(state).inc()
        metrics.EFFECT_SECONDS.labels(state).observe(self._clock() - started)

    async def _carry_out_decision(self, message: Any) -> State:
        expected = self._expected[message.topic]
        event = decode_decision(message.key, message.value, message.headers or (), expected)
        state = await _patiently(self._carry_out, event)
        log.info("decision carried out", media_id=event.subject, outcome=event.data.outcome, state=state)
        return state

    async def _carry_out_override(self, message: Any) -> State:
        event = decode(message.key, message.value, message.headers or (), Override, EventType.OVERRIDE)
        state = await _patiently(self._override, event)
        log.info("override carried out", media_id=event.subject, verdict=event.data.verdict, state=state)
        return state

    async def _bury(self, message: Any, error: DeadLetterError) -> None:
        # A topic of its own cannot be paused here: slow ones would hold up those behind them. The process
        # ends, and each that follows it ends at the same record until an operator resumes the topic.
        if why := await _patiently(partial(self._cap.refusal, message.topic), [error]):
            raise StopError(f"{message.topic}, partition {message.partition}: {why}")
        letter = dead_letter(
            self._dead_letter_topic,
            error,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value,
            headers=message.headers or (),
        )
        await _patiently(self._publisher.publish, [letter])
        metrics.DEAD_LETTERS.labels(message.topic, error.reason).inc()
        log.warning("dead letter", topic=message.topic, offset=message.offset, error=str(error))


async def _patiently(call: Callable[[Argument], Awaitable[Result]], argument: Argument) -> Result:
    try:
        return await RETRY(call, argument)
    except TransientError as error:
        raise StopError(f"{ATTEMPTS} attempts failed, the last with: {error}") from error
