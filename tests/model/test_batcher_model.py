"""Batchers and ledgers in a consumer group, without a broker: whatever happens, nothing is lost.

Hypothesis chooses what happens: records come, time passes, scans, publishers and commits fail or are slow,
workers crash, end, fall silent and come back, the group moves on. The promises are checked after every step;
at the end everything works again, and all must be decided and committed.
`FAULTS=long` tries 10,000 sequences.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum, auto
from types import SimpleNamespace

import pytest
import structlog
from faust.types import TP
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streams.windows import WindowLimits
from streams.worker import REVOKE_PATIENCE, SHUTDOWN_PATIENCE
from tests.model.clocked_loop import ClockedLoop
from tests.model.group import Group
from tests.model.worker import ANSWERS, MAX_CHUNK, TROUBLES, Step, Trouble, Worker

PARTITIONS = (TP("uploads", 0), TP("uploads", 1))
EXAMPLES = 10_000 if os.environ.get("FAULTS") == "long" else 300
STEPS = 50
ROUNDS = 100
MOST_TROUBLES = 4

limits = st.builds(
    WindowLimits,
    max_items=st.integers(1, 6),
    max_wait=st.sampled_from([1.0, 10.0]),
    max_bytes=st.none() | st.integers(2, 6),
)
owners = st.tuples(*(st.integers(0, 1) for _ in PARTITIONS))
sizes = st.lists(st.integers(1, 3), min_size=1, max_size=4)
seconds = st.sampled_from([0.5, 1.0, 5.0, 10.0, 30.0, 120.0])
numbers = st.integers(0, 1)
faults = st.sampled_from([(step, trouble) for step in Step for trouble in TROUBLES[step]])


class Change(StrEnum):
    """What may become of a worker; a supervisor starts a dead one again."""

    CRASHES = auto()
    FALLS_SILENT_OR_COMES_BACK = auto()
    IS_TOLD_TO_END = auto()


def some(condition: Callable[[Worker], bool]) -> Callable[["GroupOfBatchers"], bool]:
    """A precondition: some worker is like that."""
    return lambda machine: any(condition(worker) for worker in machine.workers)


class GroupOfBatchers(RuleBasedStateMachine):
    """Two workers and a topic of two partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = ClockedLoop()
        self.patch = pytest.MonkeyPatch()
        # stamina's deadlines are tenacity's, which reads the real clock.
        self.patch.setattr("tenacity.time", SimpleNamespace(monotonic=self.loop.time))
        self.group = Group(PARTITIONS)
        self.troubles: dict[Step, deque[Trouble]] = {step: deque() for step in Step}
        self.workers: list[Worker] = []
        self.rebalancing = False

    @initialize(limits=limits, split=owners)
    def begin(self, limits: WindowLimits, split: tuple[int, ...]) -> None:
        self.limits = limits
        self.workers = [self._new_worker(), self._new_worker()]
        self._assign(split)
        self.loop.run_for()

    @rule(partition=st.sampled_from(PARTITIONS), sizes=sizes)
    def records_come(self, partition: TP, sizes: list[int]) -> None:
        self.group.sizes[partition] += sizes

    @rule(partition=st.sampled_from(PARTITIONS), seconds=seconds)
    def one_record_comes_at_once(self, partition: TP, seconds: float) -> None:
        self.group.sizes[partition].append(1)
        self._poll(MAX_CHUNK)
        self.loop.run_for(seconds)

    @rule(limit=st.integers(1, MAX_CHUNK))
    def all_poll(self, limit: int) -> None:
        self._poll(limit)

    @rule(number=numbers, limit=st.integers(1, MAX_CHUNK))
    def fetches(self, number: int, limit: int) -> None:
        self.workers[number].fetch(limit)

    @precondition(some(lambda worker: bool(worker.queue)))
    @rule()
    def chunk_is_handed_over(self) -> None:
        next(worker for worker in self.workers if worker.queue).hand_over()
        self.loop.run_for()

    @rule(seconds=seconds, split=owners)
    def time_passes(self, seconds: float, split: tuple[int, ...]) -> None:
        """As it passes, workers poll, what was told to end ends, and the group finds its way."""
        self._poll(MAX_CHUNK)
        self._rebalance_where_needed()
        self.loop.run_for(seconds)
        self._end()
        if self._may_rejoin():
            self._assign(split)
            self._poll(MAX_CHUNK)

    @rule(fault=faults, sizes=sizes)
    def work_goes_wrong(self, fault: tuple[Step, Trouble], sizes: list[int]) -> None:
        """The next one who comes to that step is in trouble; and there is work."""
        step, trouble = fault
        if len(self.troubles[step]) < MOST_TROUBLES:
            self.troubles[step].append(trouble)
        for tp in PARTITIONS:
            self.group.sizes[tp] += sizes
        self._poll(MAX_CHUNK)

    @precondition(some(lambda worker: bool(worker.waiting)))
    @rule(data=st.data())
    def answers_at_last(self, data: st.DataObject) -> None:
        worker = next(worker for worker in self.workers if worker.waiting)
        number = data.draw(st.integers(0, len(worker.waiting) - 1))
        worker.answer(number, data.draw(st.sampled_from(ANSWERS[worker.waiting[number]])))
        self.loop.run_for()

    @precondition(lambda machine: any(Trouble.DOWN in step for step in machine.troubles.values()))
    @rule()
    def is_up_again(self) -> None:
        for troubles in self.troubles.values():
            while Trouble.DOWN in troubles:
                troubles.remove(Trouble.DOWN)

    @rule(split=owners)
    def group_moves(self, split: tuple[int, ...]) -> None:
        if self._may_rejoin():
            self._assign(split)
        elif not self.rebalancing:
            self._revoke()
        self.loop.run_for()

    @precondition(some(lambda worker: bool(worker.waiting)))
    @rule(split=owners, late=st.integers(0, 3))
    def group_overtakes_a_slow_step(self, split: tuple[int, ...], late: int) -> None:
        """It answers after the release, after the assignment, after the records came again, or not yet."""
        self.rebalancing = True
        self._revoke_from_late_members()
        self.loop.run_for(REVOKE_PATIENCE)
        if late == 0:
            self._answer_all()
        if self._may_rejoin():
            self._assign(split)
        if late == 1:
            self._answer_all()
        self._poll(MAX_CHUNK)
        if late == 2:
            self._answer_all()

    @rule(number=numbers, change=st.sampled_from(Change))
    def worker_changes(self, number: int, change: Change) -> None:
        worker = self.workers[number]
        match change:
            case Change.CRASHES:
                worker.die()
                self.workers[number] = self._new_worker()
            case Change.FALLS_SILENT_OR_COMES_BACK:
                worker.connected = not worker.connected
                self._revoke_from_late_members()
            case Change.IS_TOLD_TO_END if not worker.terminating:
                worker.terminating = True
                worker.release(SHUTDOWN_PATIENCE)
        self.loop.run_for()

    @invariant()
    def keeps_its_promises(self) -> None:
        for worker in self.workers:
            worker.reap()
            worker.check()
        self._replace_the_dead()
        self._check()

    def teardown(self) -> None:
        """Everything works again, and runs to its end."""
        try:
            if not self.group.violations:
                self._finish()
                self._check()
        finally:
            for worker in self.workers:
                worker.die()
            self.loop.run_for()
            self.loop.close()
            self.patch.undo()

    def _finish(self) -> None:
        for _ in range(ROUNDS):
            self._repair()
            self._poll(MAX_CHUNK)
            self.loop.run_for(self.limits.max_wait)
            self.keeps_its_promises()
            if self.group.lag == 0:
                break
        self.group.require(self.group.lag == 0, f"stuck: {self.group.committed} of {self.group.sizes}")
        missing = [place for place in self.group.records() if place not in self.group.acknowledged]
        self.group.require(not missing, f"lost: {missing}")
        self.loop.run_for(self.limits.max_wait)
        for worker in self.workers:
            self.group.require(worker.batcher.idle, "something is left in a batcher")

    def _repair(self) -> None:
        """Mends what is broken, and rebalances only where that is needed."""
        for troubles in self.troubles.values():
            troubles.clear()
        for worker in self.workers:
            worker.connected = True
        self._rebalance_where_needed()
        self.loop.run_for(REVOKE_PATIENCE if self.rebalancing else 0.0)
        self._end()
        if self._may_rejoin():
            self._assign((0, 1))
        self._answer_all()

    def _poll(self, limit: int) -> None:
        for worker in self.workers:
            worker.fetch(limit)
            while worker.queue:
                worker.hand_over()
        self.loop.run_for()

    def _answer_all(self) -> None:
        for worker in self.workers:
            for number in range(len(worker.waiting)):
                worker.answer(number, None)
        self.loop.run_for()

    def _end(self) -> None:
        for worker in self.workers:
            if worker.terminating and not worker.releasing:
                worker.die()
        self._replace_the_dead()

    def _replace_the_dead(self) -> None:
        for number, worker in enumerate(self.workers):
            if not worker.alive:
                self.workers[number] = self._new_worker()
        self.loop.run_for()

    def _rebalance_where_needed(self) -> None:
        self.rebalancing = self.rebalancing or any(self._is_out(worker) for worker in self._members())
        self._revoke_from_late_members()

    def _is_out(self, worker: Worker) -> bool:
        """Whether worker and group do not know each other any more."""
        return worker.refused or worker.tenure.generation != self.group.generation or worker.tenure.over

    def _members(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.connected]

    def _revoke(self) -> None:
        self.rebalancing = True
        for worker in self._members():
            worker.release(REVOKE_PATIENCE)

    def _revoke_from_late_members(self) -> None:
        for worker in self._members():
            if self.rebalancing and not worker.tenure.over and not worker.releasing:
                worker.release(REVOKE_PATIENCE)

    def _may_rejoin(self) -> bool:
        return self.rebalancing and all(worker.tenure.over for worker in self._members())

    def _assign(self, split: tuple[int, ...]) -> None:
        """The members get the partitions; what would be an absent worker's goes to the other."""
        self.group.generation += 1
        self.rebalancing = False
        members = self._members()
        for worker in members:
            mine = [
                tp
                for tp, number in zip(PARTITIONS, split, strict=True)
                if worker is (self.workers[number] if self.workers[number] in members else members[0])
            ]
            worker.assign(mine)

    def _new_worker(self) -> Worker:
        return Worker(self.group, self.loop, self.limits, self.troubles)

    def _check(self) -> None:
        self.group.check_offsets()
        assert not self.group.violations, self.group.violations[0]
        assert not self.loop.complaints, self.loop.complaints[0]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without log lines: there would be hundreds of thousands."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("quiet")
def test_loses_nothing_whatever_happens() -> None:
    run_state_machine_as_test(
        GroupOfBatchers,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
