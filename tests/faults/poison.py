"""Records that fit no contract, as broken publishers send them."""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random

from mediagate.events import OutgoingRecord

DEPTH = 20_000
HUGE = 500_000
"""Bytes; a record of the default size limit still holds them."""


def _no_text(value: bytes, random: Random) -> bytes:
    return b"\xff" + random.randbytes(8) + value


def _truncated(value: bytes, random: Random) -> bytes:
    return value[: random.randrange(1, len(value))]


def _nested(value: bytes, random: Random) -> bytes:
    return b'{"media_id":' * DEPTH + value + b"}" * DEPTH


def _wrong_type(value: bytes, random: Random) -> bytes:
    fields = json.loads(value)
    return json.dumps(fields | {random.choice(sorted(fields)): [random.random()]}).encode()


def _huge(value: bytes, random: Random) -> bytes:
    return _wrong_type(value, random)[:-1] + b', "comment": "' + b"x" * HUGE + b'"}'


KINDS: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "no text": _no_text,
    "truncated": _truncated,
    "nested": _nested,
    "wrong type": _wrong_type,
    "huge": _huge,
}
"""Of values; key and headers are those of a good record."""


def poison(good: Sequence[OutgoingRecord], random: Random) -> list[OutgoingRecord]:
    """One record of each kind, and JSON that is no object, without key and headers."""
    spoiled = [_spoiled(random.choice(good), spoil, random) for spoil in KINDS.values()]
    number = random.randrange(10**9)
    bare = [f"[{number}]", f'"{number}"', f"{number}"]
    topic = spoiled[0].topic
    return spoiled + [OutgoingRecord(topic, None, value.encode(), []) for value in bare]


def _spoiled(good: OutgoingRecord, spoil: Callable[[bytes, Random], bytes], random: Random) -> OutgoingRecord:
    return good._replace(value=spoil(good.value or b"", random))
