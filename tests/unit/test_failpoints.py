import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from mediagate.errors import ConfigurationError, TransientError
from mediagate.failpoints import PROCESS, Action, Failpoint, Failpoints, Step
from mediagate.settings import SinksSettings, load_settings


@pytest.fixture
def sent() -> list[signal.Signals]:
    return []


@pytest.fixture
def failpoints(sent: list[signal.Signals]) -> Failpoints:
    return Failpoints(sent.append)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "unused:1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://unused@unused/unused")


def at(step: Step, action: Action, hit: int = 1) -> Mapping[Step, Failpoint]:
    return {step: Failpoint(action=action, hit=hit)}


@pytest.mark.parametrize(("action", "number"), [(Action.KILL, signal.SIGKILL), (Action.STOP, signal.SIGSTOP)])
def test_strikes_at_the_given_passage_and_at_no_other(
    failpoints: Failpoints, sent: list[signal.Signals], action: Action, number: signal.Signals
) -> None:
    failpoints.arm(at(Step.BEFORE_COMMIT, action, hit=3))
    passages = []
    for _ in range(5):
        failpoints.reach(Step.BEFORE_COMMIT)
        failpoints.reach(Step.MID_SCAN)
        passages.append(len(sent))
    assert passages == [0, 0, 1, 1, 1]
    assert sent == [number]


def test_fails_as_a_dependency_does(failpoints: Failpoints) -> None:
    failpoints.arm(at(Step.AFTER_COPY, Action.FAIL))
    with pytest.raises(TransientError, match=r"sinks\.after_copy"):
        failpoints.reach(Step.AFTER_COPY)
    failpoints.reach(Step.AFTER_COPY)


def test_arming_counts_anew(failpoints: Failpoints, sent: list[signal.Signals]) -> None:
    for _ in range(2):
        failpoints.arm(at(Step.MID_WINDOW, Action.KILL, hit=2))
        failpoints.reach(Step.MID_WINDOW)
    assert sent == []


def test_nothing_is_armed_by_default() -> None:
    for step in Step:
        PROCESS.reach(step)
    assert load_settings(SinksSettings).failpoints == {}


def test_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPOINTS", '{"streams.before_commit": {"action": "kill", "hit": 3}}')
    assert load_settings(SinksSettings).failpoints == at(Step.BEFORE_COMMIT, Action.KILL, hit=3)


@pytest.mark.parametrize(
    "text",
    [
        '{"streams.no_such_step": {"action": "kill"}}',
        '{"streams.mid_scan": {"action": "explode"}}',
        '{"streams.mid_scan": {"action": "kill", "hit": 0}}',
        '{"streams.mid_scan": {"action": "kill", "hits": 1}}',
    ],
)
def test_what_is_not_a_failpoint_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FAILPOINTS", text)
    with pytest.raises(ConfigurationError, match=r"FAILPOINTS\.STREAMS\."):
        load_settings(SinksSettings)
