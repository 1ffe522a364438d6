"""Dead letters: a record as it arrived, byte for byte, with headers that say where from and why."""

from collections.abc import Sequence

from mediagate.binary_mode import Header
from mediagate.errors import DeadLetterError
from mediagate.events import OutgoingRecord

PREFIX = "dead-letter-"
ERROR_CHARACTERS = 1000


def dead_letter(
    dead_letter_topic: str,
    error: DeadLetterError,
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header],
) -> OutgoingRecord:
    """The record for the dead-letter topic; one that was sent back with these headers counts its attempts."""
    attempts = 1 + max((_number(value) for name, value in headers if name == f"{PREFIX}attempts"), default=0)
    added = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "reason": error.reason,
        "error": error.detail[:ERROR_CHARACTERS],
        "attempts": str(attempts),
    }
    kept = [header for header in headers if not header[0].startswith(PREFIX)]
    return OutgoingRecord(
        dead_letter_topic,
        key,
        value,
        [*kept, *((PREFIX + name, text.encode()) for name, text in added.items())],
    )


def _number(text: bytes) -> int:
    return int(text) if text and text.isdigit() and len(text) < 10 else 0
