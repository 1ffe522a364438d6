"""What a human's override does to an upload; pure."""

from collections.abc import Mapping

from mediagate.errors import DeadLetterError
from mediagate.events import OverrideVerdict
from mediagate.jobs import State

TARGETS: Mapping[OverrideVerdict, State] = {
    OverrideVerdict.APPROVE: State.APPROVED,
    OverrideVerdict.REJECT: State.REJECTED,
}
ENDS: Mapping[State, State] = {State.APPROVED: State.PUBLISHED, State.REJECTED: State.QUARANTINED}


def overridden(state: State, verdict: OverrideVerdict, *, inspected: bool) -> State | None:
    """The state that an override brings an upload into; None where it is there, or at that state's end.

    Raises DeadLetterError where nothing was uploaded, or nobody understood the bytes that shall be approved.
    """
    target = TARGETS[verdict]
    if state in {State.AWAITING_UPLOAD, State.EXPIRED}:
        raise DeadLetterError("nothing_uploaded", f"the upload is {state}: there is nothing to {verdict}")
    if state in {target, ENDS[target]}:
        return None
    if target is State.APPROVED and not inspected:
        raise DeadLetterError("never_inspected", f"the upload is {state}, its bytes were never understood")
    return target
