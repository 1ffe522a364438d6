"""Named steps at which a test has the process die, freeze or fail: how crashes at exact places are proven.

A process has one set of failpoints, as it has one set of signal handlers: empty, unless its wiring function
arms it with the setting FAILPOINTS, as in `{"streams.before_commit": {"action": "kill", "hit": 3}}`.
"""

import os
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from mediagate.errors import TransientError


class Step(StrEnum):
    """Where a process can be struck."""

    AFTER_INSERT = "gateway.after_insert"  # the row is made, the client has no answer
    AFTER_QUEUE = "gateway.after_queue"  # the row is queued, its event is not published
    AFTER_ANNOUNCE = "gateway.after_publish"  # the event is out, the row does not say so
    MID_WINDOW = "streams.mid_window"  # records have arrived, their window is open
    MID_SCAN = "streams.mid_scan"  # a window is inspected, no scanner was asked
    BEFORE_COMMIT = "streams.before_commit"  # the broker has a window's decisions, the group no offsets
    BETWEEN_EMITS = "publisher.between_emits"  # a record is handed to the producer, others are not
    AFTER_DECIDE = "sinks.after_decide"  # the row has its decision
    AFTER_COPY = "sinks.after_copy"  # the object stands in both places
    AFTER_TRANSACTION = "sinks.after_transaction"  # the row has its final state
    AFTER_DELETE = "sinks.after_delete"  # the uploaded object is gone
    AFTER_PUBLISH = "sinks.after_publish"  # the news is told, the offset is not committed


class Action(StrEnum):
    """What happens there."""

    KILL = "kill"
    STOP = "stop"
    FAIL = "fail"


class Failpoint(BaseModel):
    """What happens at the `hit`-th passage of a step, and only then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    hit: int = Field(default=1, gt=0)


class Failpoints:
    """Counts the passages of armed steps; `send` gets the signals that are for this process."""

    def __init__(self, send: Callable[[signal.Signals], None]) -> None:
        self._send = send
        self._armed: dict[Step, Failpoint] = {}
        self._passages: dict[Step, int] = {}

    def arm(self, failpoints: Mapping[Step, Failpoint]) -> None:
        """Replaces what is armed, and counts from nought."""
        self._armed = dict(failpoints)
        self._passages = {}

    def reach(self, step: Step) -> None:
        """Passes a step; raises TransientError where it is armed to fail."""
        failpoint = self._armed.get(step)
        if failpoint is None:
            return
        self._passages[step] = self._passages.get(step, 0) + 1
        if self._passages[step] == failpoint.hit:
            self._strike(step, failpoint.action)

    def _strike(self, step: Step, action: Action) -> None:
        match action:
            case Action.KILL:
                self._send(signal.SIGKILL)
            case Action.STOP:
                self._send(signal.SIGSTOP)
            case Action.FAIL:
                raise TransientError(f"failpoint {step}")


def _to_this_process(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


PROCESS = Failpoints(_to_this_process)
"""This process's own: nothing is armed until its wiring function says so."""
