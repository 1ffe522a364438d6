"""Values that fit no contract, as a broken publisher sends them with the headers of a good record."""

import json
from collections.abc import Callable, Mapping
from random import Random

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
