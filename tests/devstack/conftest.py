"""Stacks of these tests' own: they stop them, kill them and start them again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack import Stack


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of stacks that tests start and end themselves; data outlive a single test."""
    return tmp_path_factory.mktemp("devstack")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack; a test leaves it running. The thread that started it is gone: it must outlive that."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(stack.start).result()
        yield stack
    finally:
        stack.stop()
