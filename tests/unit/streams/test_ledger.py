from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.ledger import Ledger

A, B = TP("uploads", 0), TP("uploads", 1)


def test_commits_only_the_settled_prefix() -> None:
    ledger = Ledger()
    for offset in (5, 6, 9):
        ledger.deliver(A, offset)
    ledger.settle([(A, 6), (A, 9)])
    assert ledger.positions() == {}
    ledger.settle([(A, 5)])
    assert ledger.positions() == {A: 10}


def test_reports_a_position_until_it_is_committed() -> None:
    ledger = Ledger()
    ledger.deliver(A, 0)
    ledger.settle([(A, 0)])
    assert ledger.positions() == ledger.positions() == {A: 1}
    ledger.committed({A: 1})
    assert ledger.positions() == {}


def test_a_later_position_survives_the_commit_of_an_earlier_one() -> None:
    ledger = Ledger()
    ledger.deliver(A, 0)
    ledger.settle([(A, 0)])
    before = ledger.positions()
    ledger.deliver(A, 1)
    ledger.settle([(A, 1)])
    ledger.committed(before)
    assert ledger.positions() == {A: 2}


def test_forgets_what_was_released() -> None:
    ledger = Ledger()
    ledger.deliver(A, 0)
    ledger.deliver(A, 1)
    ledger.settle([(A, 0)])
    ledger.clear()
    ledger.deliver(A, 7)
    assert ledger.positions() == {}


@given(
    st.lists(st.tuples(st.sampled_from([A, B]), st.integers(1, 3)), min_size=1, max_size=50),
    st.randoms(use_true_random=False),
)
def test_no_position_ever_passes_an_unsettled_offset(steps: list[tuple[TP, int]], random: object) -> None:
    ledger = Ledger()
    delivered: list[tuple[TP, int]] = []
    last = {A: 0, B: 0}
    for tp, gap in steps:
        last[tp] += gap
        ledger.deliver(tp, last[tp])
        delivered.append((tp, last[tp]))
    unsettled = list(delivered)
    random.shuffle(unsettled)  # type: ignore[attr-defined]
    while unsettled:
        ledger.settle([unsettled.pop()])
        for tp, position in ledger.positions().items():
            assert all(offset >= position for other, offset in unsettled if other == tp)
    for tp in {tp for tp, _ in delivered}:
        assert ledger.positions()[tp] == last[tp] + 1
