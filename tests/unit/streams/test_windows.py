"""A window closes at N items, at T after its first item, or at its bytes; whichever is first.

now     0    1    2    3    4    5
items   a         b                     max_items 3, max_wait 4
due                         TIME        four seconds after `a`, whatever came since
"""

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
    window = Window[str](LIMITS).filled([("a", 0.0, 1)]).filled([("b", 2.0, 1)])
    assert window.deadline() == 4.0
    assert window.due(now=3.999) is None
    assert window.due(now=4.0) is Trigger.TIME


def test_closes_by_count_at_once() -> None:
    window = Window[str](LIMITS).filled([(name, 0.0, 1) for name in "abcd"])
    assert window.due(now=0.0) is Trigger.COUNT
    assert window.items == ("a", "b", "c")
    assert window.filled([("d", 0.0, 1)]) == window


def test_closes_by_bytes() -> None:
    limits = WindowLimits(max_items=10, max_wait=4.0, max_bytes=100)
    window = Window[str](limits).filled([("a", 0.0, 60), ("b", 0.0, 41)])
    assert window.items == ("a",)
    assert window.due(now=0.0) is None
    assert window.filled([("b", 0.0, 40)]).due(now=0.0) is Trigger.BYTES


def test_takes_one_item_that_is_larger_than_all_its_bytes() -> None:
    limits = WindowLimits(max_items=10, max_wait=4.0, max_bytes=100)
    assert Window[str](limits).filled([("huge", 0.0, 1000)]).due(now=0.0) is Trigger.BYTES


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
        grown = window.filled([(number, now, size)])
        if grown.items == window.items:  # it does not fit
            closed.append((window, now))
            grown = Window[int](limits).filled([(number, now, size)])
        window = grown
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


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 20), st.none() | st.integers(50, 500))
def test_what_waits_is_taken_all_at_once_as_it_is_one_by_one(
    sizes: list[int], max_items: int, max_bytes: int | None
) -> None:
    waiting = [(number, float(number), size) for number, size in enumerate(sizes)]
    one_by_one = empty = Window[int](WindowLimits(max_items, 4.0, max_bytes))
    for each in waiting:
        grown = one_by_one.filled([each])
        if grown.items == one_by_one.items:
            break
        one_by_one = grown
    assert empty.filled(waiting) == one_by_one
