"""Whatever order work ends in, only what has nothing unfinished before it is acknowledged."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.in_order import InOrder


@st.composite
def completions(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Arrivals by partition, and an order in which some or all of them end."""
    partitions = draw(st.lists(st.integers(0, 2), max_size=30))
    order = draw(st.permutations(range(len(partitions))))
    return partitions, order[: draw(st.integers(0, len(order)))]


@given(completions())
def test_acknowledges_finished_prefixes_alone(case: tuple[list[int], list[int]]) -> None:
    partitions, order = case
    in_order: InOrder[int] = InOrder()
    arrivals = [in_order.arrive(partition, offset) for offset, partition in enumerate(partitions)]
    finished: set[int] = set()
    acknowledged: dict[int, list[int]] = {0: [], 1: [], 2: []}

    for index in order:
        finished.add(index)
        acknowledged[partitions[index]] += in_order.finish(arrivals[index])

        for partition, acked in acknowledged.items():
            offsets = [offset for offset, of in enumerate(partitions) if of == partition]
            prefix = []
            for offset in offsets:
                if offset not in finished:
                    break
                prefix.append(offset)
            assert acked == prefix
    assert len(in_order) == len(partitions) - sum(map(len, acknowledged.values()))


def test_what_was_forgotten_is_never_acknowledged() -> None:
    in_order: InOrder[str] = InOrder()
    first, second = in_order.arrive(0, "first"), in_order.arrive(0, "second")
    in_order.forget()
    again = in_order.arrive(0, "first again")

    assert in_order.finish(second) == []
    assert in_order.finish(first) == []
    assert in_order.finish(again) == ["first again"]
