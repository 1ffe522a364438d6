"""The processes of a stack that was killed: ended by id and start time, and only those."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devstack import DevstackError
from devstack.kafka import Kafka
from devstack.process import ProcessRecord
from devstack.state import State


@pytest.fixture
def leftover() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it gets a signal."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_leftover_is_ended(tmp_path: Path, leftover: subprocess.Popen[bytes]) -> None:
    clean_up(tmp_path, ProcessRecord.of(leftover.pid))
    assert leftover.poll() == -signal.SIGTERM


def test_a_process_that_only_reuses_the_id_is_spared(
    tmp_path: Path, leftover: subprocess.Popen[bytes]
) -> None:
    record = ProcessRecord.of(leftover.pid)
    clean_up(tmp_path, replace(record, started=record.started - 60))
    assert leftover.poll() is None


def test_a_leftover_that_has_ended_is_forgotten(tmp_path: Path, leftover: subprocess.Popen[bytes]) -> None:
    record = ProcessRecord.of(leftover.pid)
    leftover.kill()
    leftover.wait()
    clean_up(tmp_path, record)


def test_a_damaged_state_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DevstackError, match=r"^\S+state\.json is damaged .*: remove it to choose new ports$"):
        State(tmp_path / "state.json").load()


def clean_up(directory: Path, record: ProcessRecord) -> None:
    """Do what a start does with what an earlier one recorded."""
    State(directory / "state.json").keep_process("kafka", record)
    state = State(directory / "state.json")
    state.load()
    assert state.processes() == {"kafka": record}
    Kafka(directory, state).end_leftover()
    assert state.processes() == {}
