"""The pool on real processes: what hurts one must not hurt the others."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from mediagate.errors import StopError, TransientError
from mediagate.media_pool import MediaPool
from mediagate.progress import telling
from mediagate.scanners import Unscannable
from mediagate.scanners.reasons import Reason
from tests import media_processes
from tests.settings import streams_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the pool belongs to one loop


@pytest.fixture(scope="module")
def pool() -> Iterator[MediaPool]:
    with MediaPool(streams_settings()) as running:
        yield running


async def test_results_come_in_the_items_order(pool: MediaPool) -> None:
    assert await pool.map(media_processes.double, list(range(20))) == [2 * number for number in range(20)]
    assert await pool.map(media_processes.double, []) == []


async def test_a_crash_is_the_crashing_items_alone(pool: MediaPool) -> None:
    crashed = Unscannable(Reason.DECODER_CRASHED)

    assert await pool.map(media_processes.crash_unless_even, [0, 1, 2, 4]) == [0, crashed, 2, 4]
    assert await pool.run(media_processes.double, 4) == 8


async def test_an_item_whose_process_was_killed_once_is_tried_again(pool: MediaPool, tmp_path: Path) -> None:
    marker = str(tmp_path / "marker")

    assert await pool.run(media_processes.crash_once, marker) == marker


async def test_a_failure_keeps_its_meaning(pool: MediaPool) -> None:
    with pytest.raises(TransientError, match="object store: 7"):
        await pool.map(media_processes.unreadable, [7])

    assert await pool.run(media_processes.double, 4) == 8


async def test_an_idle_process_that_is_killed_does_not_end_the_pool(pool: MediaPool) -> None:
    found = await pool.run(media_processes.own_process, 0)
    assert not isinstance(found, Unscannable)
    os.kill(found[0], signal.SIGKILL)

    async with asyncio.timeout(60):
        while True:
            with suppress(TransientError):
                assert await pool.map(media_processes.double, [1, 2, 3, 4]) == [2, 4, 6, 8]
                return


async def test_processes_have_a_memory_limit_a_group_of_their_own_and_no_faust(pool: MediaPool) -> None:
    assert await pool.run(media_processes.address_space, 0) == streams_settings().scanner_memory_bytes
    found = await pool.run(media_processes.own_process, 0)
    assert not isinstance(found, Unscannable)
    assert found[1] != os.getpgid(0)
    assert await pool.run(media_processes.imported, "faust") is False


async def test_a_hang_ends_at_its_deadline_and_the_others_go_on() -> None:
    with MediaPool(streams_settings(scan_timeout=timedelta(seconds=1))) as impatient:
        results = await impatient.map(media_processes.hang_if_odd, [0, 1, 2])

    assert results == [0, Unscannable(Reason.SCAN_TIMEOUT), 2]


async def test_a_wall_clock_that_jumps_is_not_the_items_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    leaping = SimpleNamespace(time=count(step=3600).__next__, sleep=time.sleep)
    with MediaPool(streams_settings()) as pool:
        with monkeypatch.context() as patched, pytest.raises(TransientError, match="wall clock"):
            patched.setattr("pebble.pool.process.time", leaping)
            await pool.run(media_processes.hang_if_odd, 1)

        assert await pool.run(media_processes.hang_if_odd, 2) == 2


async def test_every_item_that_ends_is_a_sign_of_life() -> None:
    signs: list[str] = []
    impatience = streams_settings(scan_timeout=timedelta(seconds=1))
    with MediaPool(impatience) as impatient, telling(lambda: signs.append("ended")):
        await impatient.map(media_processes.hang_if_odd, [0, 1, 2])

    assert len(signs) == 3


async def test_a_closed_pool_starts_no_processes_again() -> None:
    with MediaPool(streams_settings(scanner_processes=1)) as closed:
        pass

    with pytest.raises(StopError, match="closed"):
        await closed.run(media_processes.double, 1)
