from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mediagate.pdq import MAX_DISTANCE
from streams.pdq_index import PdqIndex

BITS = 256
Hash = int


def digits(number: Hash) -> str:
    return f"{number:064x}"


def index_of(entries: Sequence[Hash]) -> PdqIndex:
    ids = np.arange(1, len(entries) + 1, dtype=">i8").tobytes()
    return PdqIndex(ids, b"".join(entry.to_bytes(32, "big") for entry in entries))


def flipped(number: Hash, bits: Sequence[int]) -> Hash:
    for bit in bits:
        number ^= 1 << bit
    return number


@given(st.data())
def test_the_index_finds_what_a_look_at_each_bit_finds(data: st.DataObject) -> None:
    hashes = st.integers(0, 2**BITS - 1)
    query = data.draw(hashes)
    bits = st.lists(st.integers(0, BITS - 1), max_size=40, unique=True)
    entries = [flipped(query, data.draw(bits)) for _ in range(data.draw(st.integers(0, 8)))]
    entries += data.draw(st.lists(hashes, max_size=8))
    distances = {number: (entry ^ query).bit_count() for number, entry in enumerate(entries, 1)}

    found = index_of(entries).near([digits(query)], count=100)

    assert found == {number: near for number, near in distances.items() if near <= MAX_DISTANCE}


def test_the_limit_belongs_to_the_matches() -> None:
    index = index_of([flipped(0, range(100, 131)), flipped(0, range(100, 132))])

    assert index.near([digits(0)], count=10) == {1: 31}


def test_the_nearest_come_first_and_no_more_than_asked_for() -> None:
    index = index_of([flipped(0, range(10)), 0, flipped(0, range(5)), flipped(0, range(5, 10))])

    assert list(index.near([digits(0)], count=3).items()) == [(2, 0), (3, 5), (4, 5)]


def test_the_best_of_several_orientations_counts() -> None:
    index = index_of([0])
    turned = [digits(flipped(0, range(20))), digits(flipped(0, range(3))), digits(2**BITS - 1)]

    assert index.near(turned, count=10) == {1: 3}
    assert index.near(reversed(turned), count=10) == {1: 3}


def test_an_empty_index_finds_nothing() -> None:
    assert PdqIndex(b"", b"").near([digits(0)], count=10) == {}
