"""What the scripted scanner says of an upload's bytes: it follows from their hash, as the checker knows."""

import hashlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from mediagate.events import Outcome
from mediagate.jobs import State
from mediagate.scanners import Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.scanners.reasons import Reason

SESSION_TIMEOUT = 6.0
"""Seconds until a silent worker's partitions are another's; a broker's own lower limit."""
UNSAFE = frozenset({hashlib.sha256(UNSAFE_PICTURE.read_bytes()).hexdigest()})
SCORES = {Outcome.APPROVED: 0.05, Outcome.REJECTED: 0.95, Outcome.NEEDS_REVIEW: 0.75}
"""Of `nsfw`; for the policy's default."""
FIRST_DIGITS = {"d": Outcome.NEEDS_REVIEW, "e": Outcome.REJECTED, "f": Outcome.UNSCANNABLE}
"""Of a SHA-256: thirteen of sixteen uploads are harmless."""
ENDS = {
    Outcome.APPROVED: State.PUBLISHED,
    Outcome.REJECTED: State.QUARANTINED,
    Outcome.NEEDS_REVIEW: State.NEEDS_REVIEW,
    Outcome.UNSCANNABLE: State.UNSCANNABLE,
}


def outcome_of(sha256: str) -> Outcome:
    """What must be decided on these bytes, where they decode."""
    return Outcome.REJECTED if sha256 in UNSAFE else FIRST_DIGITS.get(sha256[0], Outcome.APPROVED)


class Mood(StrEnum):
    """How the scanner is; it reads it from a file before every batch."""

    WELL = "well"
    DOWN = "down"
    SLOW = "slow"
    PARTIAL = "partial"


def mood(path: Path) -> Mood:
    """The mood in the file; well where there is none."""
    try:
        return Mood(path.read_text())
    except FileNotFoundError:
        return Mood.WELL


class Answers(Mapping[str, ScanResult]):
    """By SHA-256; while the mood is partial, by job_id each item's first answer is that it is unavailable."""

    def __init__(self, mood_file: Path) -> None:
        self._mood_file = mood_file
        self._refused: set[str] = set()

    def __contains__(self, key: object) -> bool:
        return _is_hash(str(key)) or (mood(self._mood_file) is Mood.PARTIAL and key not in self._refused)

    def __getitem__(self, key: str) -> ScanResult:
        if not _is_hash(key):
            self._refused.add(key)
            return Unavailable("the scanner took only a part")
        outcome = outcome_of(key)
        if outcome is Outcome.UNSCANNABLE:
            return Unscannable(Reason.SCANNER_REFUSED)
        return Scanned({"nsfw": SCORES[outcome]})

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True  # nothing can be listed, everything can be asked


def _is_hash(key: str) -> bool:
    return len(key) == hashlib.sha256().digest_size * 2
