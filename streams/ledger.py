"""Which offsets may be committed: only those below which everything is decided and acknowledged."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from faust.types import TP


class Ledger:
    """Remembers what was delivered, in order, and what of it is settled; pure bookkeeping."""

    def __init__(self) -> None:
        self._delivered: defaultdict[TP, deque[int]] = defaultdict(deque)
        self._settled: defaultdict[TP, set[int]] = defaultdict(set)
        self._positions: dict[TP, int] = {}

    def deliver(self, tp: TP, offset: int) -> None:
        """A record arrived; offsets of a partition rise."""
        self._delivered[tp].append(offset)

    def settle(self, records: Iterable[tuple[TP, int]]) -> None:
        """Every decision of these records was acknowledged by the broker."""
        touched = set()
        for tp, offset in records:
            self._settled[tp].add(offset)
            touched.add(tp)
        for tp in touched:
            self._advance(tp)

    def positions(self) -> Mapping[TP, int]:
        """Next offset to commit per partition, of those that moved since they were last committed."""
        return dict(self._positions)

    def committed(self, positions: Mapping[TP, int]) -> None:
        """The group has stored these positions."""
        for tp, position in positions.items():
            if self._positions.get(tp) == position:
                del self._positions[tp]

    def clear(self) -> None:
        """Forgets everything: the partitions may be another's now."""
        self._delivered.clear()
        self._settled.clear()
        self._positions.clear()

    def _advance(self, tp: TP) -> None:
        delivered, settled = self._delivered[tp], self._settled[tp]
        while delivered and delivered[0] in settled:
            offset = delivered.popleft()
            settled.discard(offset)
            self._positions[tp] = offset + 1
