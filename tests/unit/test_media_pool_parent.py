"""What becomes of the pool's processes when the worker is killed."""

import os
import select
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_processes_end_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.pool_parent"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert children
        descriptors = [os.pidfd_open(pid) for pid in children]
        parent.kill()
        parent.wait(timeout=30)
        for descriptor in descriptors:
            _wait_for_end(descriptor)


def _wait_for_end(descriptor: int) -> None:
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(30_000), "the process outlived its parent"
    finally:
        os.close(descriptor)
