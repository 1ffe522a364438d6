"""Re-decides recorded decisions with another policy, without a scanner; pure."""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

from mediagate.events import BLOCK_LIST, Decision, Event, Outcome
from mediagate.policy import Policy, Verdict, decide, decide_unscannable

EVENT_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Flip:
    """A decision that the policy would make otherwise."""

    decision: Decision
    recorded: Outcome
    verdict: Verdict


@dataclass(slots=True)
class Backtest:
    """Counts what a policy changes; holds about 0.1 kB per decision, to know repetitions."""

    policy: Policy
    changes: Counter[tuple[Outcome, Outcome]] = field(default_factory=Counter)
    repeated: int = 0
    independent: int = 0
    _seen: set[bytes] = field(default_factory=set)

    @property
    def decisions(self) -> int:
        """Decisions looked at, repetitions aside."""
        return self.changes.total()

    @property
    def redecided(self) -> int:
        """Decisions that were a policy's."""
        return self.decisions - self.independent

    @property
    def flipped(self) -> int:
        """Decisions whose outcome changes."""
        return sum(count for (recorded, new), count in self.changes.items() if recorded is not new)

    def add(self, event: Event[Decision]) -> Flip | None:
        """The flip, if any; an event that was there before counts as repeated and nothing else."""
        digest = blake2b(event.id.encode(), digest_size=EVENT_DIGEST_BYTES).digest()
        if digest in self._seen:
            self.repeated += 1
            return None
        self._seen.add(digest)
        decision, recorded = event.data, recorded_outcome(event.data)
        if not depends_on_policy(decision):
            self.independent += 1
            self.changes[recorded, recorded] += 1
            return None
        verdict = redecide(self.policy, decision)
        self.changes[recorded, verdict.outcome] += 1
        return None if verdict.outcome is recorded else Flip(decision, recorded, verdict)


def recorded_outcome(decision: Decision) -> Outcome:
    """What the policy had said, whatever a safety brake made of it."""
    return decision.outcome if decision.braked is None else decision.braked


def depends_on_policy(decision: Decision) -> bool:
    """False for what the block list decided and what recovery gave up."""
    return decision.policy_version is not None and decision.scanner != BLOCK_LIST


def redecide(policy: Policy, decision: Decision) -> Verdict:
    """The policy's verdict on the recorded scores, or on the recorded reason why there are none."""
    linked_to_type = decision.upload.linked_to_type
    if not decision.scores and recorded_outcome(decision) in {Outcome.UNSCANNABLE, Outcome.REJECTED}:
        reasons = decision.reasons or ("no reason recorded",)
        return decide_unscannable(policy, linked_to_type, reasons[-1])  # a brake names itself first
    return decide(policy, linked_to_type, decision.scores, decision.scanner or "an unnamed scanner")
