"""The PDQ hashes of the block list, in memory; pure."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mediagate.pdq import MAX_DISTANCE

WORDS = 4


class PdqIndex:
    """Finds entries by Hamming distance: every hash is looked at, but of most only its first half."""

    def __init__(self, ids: bytes, hashes: bytes) -> None:
        """`ids` are 8 bytes each, big-endian; `hashes`, in the same order, 32 bytes each."""
        self._ids = np.frombuffer(ids, dtype=">i8")
        # A column per word, so that the looks at one word go through memory in order.
        self._words = np.ascontiguousarray(np.frombuffer(hashes, dtype=np.uint64).reshape(-1, WORDS).T)

    def near(self, hashes: Iterable[str], count: int) -> dict[int, int]:
        """Distance by id of the nearest entries within MAX_DISTANCE of any of the hashes, at most `count`."""
        distances: dict[int, int] = {}
        for digits in dict.fromkeys(hashes):
            for entry_id, distance in self._near(np.frombuffer(bytes.fromhex(digits), dtype=np.uint64)):
                distances[entry_id] = min(distance, distances.get(entry_id, distance))
        return dict(sorted(distances.items(), key=lambda item: (item[1], item[0]))[:count])

    def _near(self, words: npt.NDArray[np.uint64]) -> Iterable[tuple[int, int]]:
        first, second = (np.bitwise_count(self._words[place] ^ words[place]) for place in (0, 1))
        rows = np.flatnonzero(first + second <= MAX_DISTANCE)
        distances = np.bitwise_count(self._words[:, rows] ^ words[:, None]).sum(axis=0)
        within = distances <= MAX_DISTANCE
        return zip(self._ids[rows[within]].tolist(), distances[within].tolist(), strict=True)
