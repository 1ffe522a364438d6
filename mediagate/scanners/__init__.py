"""What a scanner is: a batch in, a result or a named failure per item out, never a shorter list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mediagate.media import MediaType


@dataclass(frozen=True, slots=True)
class ScanItem:
    """One object to look at; `url` is signed for this scan only, `etag` binds the answer to the bytes."""

    job_id: str
    media_type: MediaType
    mime_type: str
    url: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scanner's answer: a score in [0, 1] per category, 1 being the worst."""

    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Unscannable:
    """Nobody can judge this item, for a named reason such as `too_many_pixels`."""

    reason: str


ScanResult = Scanned | Unscannable


class Scanner(Protocol):
    """Judges media. `scan` raises TransientError where the whole batch has to be tried again."""

    @property
    def name(self) -> str:
        """The scanner's name, as decisions record it."""
        ...

    @property
    def model_version(self) -> str:
        """Changes whenever the same bytes could get other scores."""
        ...

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item, in the items' order."""
        ...
