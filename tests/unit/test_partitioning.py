"""Keys go where every other Kafka client sends them."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as oracle
from hypothesis import given
from hypothesis import strategies as st

from mediagate.partitioning import murmur2, partition_of

partitions = st.integers(1, 64).map(lambda count: list(range(count)))


@given(st.binary(max_size=80))
def test_hashes_as_aiokafka_does(key: bytes) -> None:
    assert murmur2(key) == oracle(key) & 0xFFFFFFFF


@given(st.binary(max_size=80), partitions)
def test_chooses_as_aiokafka_does(key: bytes, known: list[int]) -> None:
    assert partition_of(key, known) == DefaultPartitioner()(key, known, known)


@given(partitions)
def test_without_a_key_any_will_do(known: list[int]) -> None:
    assert partition_of(None, known) in known
