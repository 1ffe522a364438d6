"""When a worker counts as stuck. A look is (now, records that wait, what has ended so far, paused)."""

from collections.abc import Mapping

import pytest
from faust.types import TP

from workers.watchdog import Stuck, Watchdog

A, B = TP("uploads", 0), TP("uploads", 1)
TIMEOUT = 10.0

Look = tuple[float, Mapping[TP, int], int, bool]


def last(*looks: Look) -> Stuck | None:
    watchdog = Watchdog(TIMEOUT)
    *before, final = looks
    for look in before:
        assert watchdog.look(*look) is None
    return watchdog.look(*final)


def test_records_that_wait_for_the_whole_timeout_are_stuck() -> None:
    assert last((100, {A: 3}, 7, False), (105, {A: 4}, 7, False), (110, {A: 5}, 7, False)) == Stuck(A, 5, 100)


def test_a_moment_less_is_not_enough() -> None:
    assert last((100, {A: 3}, 7, False), (109.9, {A: 3}, 7, False)) is None


def test_nothing_waits_for_an_idle_worker() -> None:
    assert last((100, {A: 0}, 7, False), (200, {A: 0}, 7, False), (300, {}, 7, False)) is None


def test_records_that_came_later_have_a_time_of_their_own() -> None:
    assert last((100, {A: 0}, 7, False), (109, {A: 1}, 7, False), (118.9, {A: 1}, 7, False)) is None


@pytest.mark.parametrize(
    "between",
    [
        pytest.param((109, {A: 3}, 8, False), id="something has ended"),
        pytest.param((109, {A: 3}, 7, True), id="it waits for a scanner"),
        pytest.param((109, {A: 0}, 7, False), id="nothing waits"),
        pytest.param((109, {}, 7, False), id="Kafka does not answer"),
    ],
)
def test_the_time_begins_anew_where(between: Look) -> None:
    _, _, progress, _ = between
    assert last((100, {A: 3}, 7, False), between, (118.9, {A: 3}, progress, False)) is None


def test_a_pause_may_last_for_ever() -> None:
    assert last(*((now, {A: 3}, 7, True) for now in range(100, 200, 5))) is None


def test_after_a_pause_the_whole_timeout_is_left() -> None:
    looks: list[Look] = [(100, {A: 3}, 7, True), (109, {A: 3}, 7, False), (118, {A: 3}, 7, False)]
    assert last(*looks) is None
    assert last(*looks, (119, {A: 3}, 7, False)) == Stuck(A, 3, 109)


def test_names_the_partition_that_has_waited_longest_then_the_one_with_most_records() -> None:
    assert last(
        (100, {A: 1}, 7, False), (101, {A: 1, B: 9}, 7, False), (111, {A: 1, B: 9}, 7, False)
    ) == Stuck(A, 1, 100)
    assert last((100, {A: 1, B: 9}, 7, False), (110, {A: 1, B: 9}, 7, False)) == Stuck(B, 9, 100)
