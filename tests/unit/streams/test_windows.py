"""A window closes at N items, at T after its first item, or at its bytes; whichever is first.

now     0    1    2    3    4    5
items   a         b                     max_items 3, max_wait 4
due                         TIME        four seconds after `a`, whatever came since
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.windows import Trigger, Window, WindowLimits

LIMITS = WindowLimits(max_items=3, max_wait=4.0)

arrivals = st.lists(
    st.tuples(st.floats(0, 20, allow_nan=False), st.integers(1, 100)), min_size=1, max_size=200
)  # (seconds since the one before, bytes)


def test_is_never_due_while_empty() -> None:
    assert Window[str](LIMITS).due(now=1e9) is None
    assert Window[str](LIMITS).deadline() is None


def test_closes_by_time_since_its_first_item() -> None:
    window = Window[str](LIMITS).add("a", now=0.0).add("b", now=2.0)
    assert window.deadline() == 4.0
    assert window.due(now=3.999) is None
    assert window.due(now=4.0) is Trigger.TIME


def test_closes_by_count_at_once() -> None:
    window = Window[str](LIMITS).add("a", now=0.0).add("b", now=0.0).add("c", now=0.0)
    assert window.due(now=0.0) is Trigger.COUNT
    with pytest.raises(ValueError, match="full"):
        window.add("d", now=0.0)


def test_closes_by_bytes() -> None:
    limits = WindowLimits(max_items=10, max_wait=4.0, max_bytes=100)
    window = Window[str](limits).add("a", now=0.0, size=60)
    assert window.due(now=0.0) is None
    assert not window.fits(41)
    assert window.add("b", now=0.0, size=40).due(now=0.0) is Trigger.BYTES


def test_takes_one_item_that_is_larger_than_all_its_bytes() -> None:
    limits = WindowLimits(max_items=10, max_wait=4.0, max_bytes=100)
    assert Window[str](limits).add("huge", now=0.0, size=1000).due(now=0.0) is Trigger.BYTES


@given(arrivals, st.integers(1, 20), st.floats(0.1, 30), st.none() | st.integers(50, 500))
def test_keeps_order_loses_nothing_and_respects_every_limit(
    steps: list[tuple[float, int]], max_items: int, max_wait: float, max_bytes: int | None
) -> None:
    limits = WindowLimits(max_items, max_wait, max_bytes)
    window = Window[int](limits)
    closed: list[tuple[Window[int], float]] = []
    now = 0.0
    for number, (pause, size) in enumerate(steps):
        now += pause
        # The clock stops at the deadline on its way to the next arrival, as the batcher's does.
        deadline = window.deadline()
        if deadline is not None and deadline <= now:
            assert window.due(deadline) is not None
            closed.append((window, deadline))
            window = Window(limits)
        if not window.fits(size):
            closed.append((window, now))
            window = Window(limits)
        window = window.add(number, now, size)
        if window.due(now):
            closed.append((window, now))
            window = Window(limits)
    if window.items:
        closed.append((window, window.opened_at + max_wait))

    assert [item for done, _ in closed for item in done.items] == list(range(len(steps)))
    for done, closed_at in closed:
        assert 1 <= len(done.items) <= max_items
        assert closed_at <= done.opened_at + max_wait
        if max_bytes is not None and len(done.items) > 1:
            assert done.bytes <= max_bytes
