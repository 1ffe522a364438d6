"""What there is to say of many letters, in bounded memory; pure."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from mediagate.dead_letter_queue import Position
from mediagate.dead_letter_queue.redrive import Found


@dataclass(slots=True)
class Newest:
    """The newest letters, at most `limit`, without their content; and how many there are of each reason."""

    limit: int
    by_reason: Counter[str] = field(default_factory=Counter)
    _heap: list[tuple[datetime, Position, Found]] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """Notes one."""
        self.by_reason[found.letter.reason] += 1
        slim = Found(found.letter.without_content(), found.mark)
        entry = (slim.letter.at, slim.letter.position, slim)
        if len(self._heap) < self.limit:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    @property
    def letters(self) -> list[Found]:
        """The newest last."""
        return [found for _, _, found in sorted(self._heap, key=lambda entry: entry[:2])]
