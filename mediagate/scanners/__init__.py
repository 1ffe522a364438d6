"""What a scanner is: a batch in, a result or a named failure per item out, never a shorter list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mediagate.media import MediaType


@dataclass(frozen=True, slots=True)
class ScanItem:
    """One object to look at; URLs are signed for this scan only, `etag` binds the answer to the bytes.

    `public_url` is the same object as scanners outside this network reach it.
    """

    job_id: str
    media_type: MediaType
    mime_type: str
    url: str
    etag: str
    size: int
    public_url: str = ""
    animated: bool = False


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scanner's answer: a score in [0, 1] per category, 1 being the worst."""

    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Unscannable:
    """Nobody can judge this item, for a named reason such as `too_many_pixels`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not judged this time, though it may be the next: the scanner's fault, not the item's."""

    reason: str


Finding = Scanned | Unscannable
ScanResult = Finding | Unavailable


class Scanner(Protocol):
    """Judges media within a deadline of its own, after retries of its own.

    `scan` raises TransientError where the whole batch has to be tried again, RefusedError where it is refused
    for good.
    """

    @property
    def name(self) -> str:
        """The scanner's name, as decisions record it."""
        ...

    async def model_version(self) -> str:
        """Changes whenever the same bytes could get other scores; raises TransientError."""
        ...

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item, in the items' order."""
        ...

    async def check(self) -> None:
        """Raises a MediagateError that says why the scanner cannot be used now; scans nothing."""
        ...
