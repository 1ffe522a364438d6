"""What every peer in Python does with an upload: parses it, and writes the decision on it."""

import json
import time
from typing import Any

Header = tuple[str, bytes]


def decide(upload: dict[str, Any]) -> dict[str, Any]:
    """The decision on an upload, as it is published."""
    return {
        "media_id": upload["media_id"],
        "outcome": "approved",
        "reasons": [],
        "scores": {"nsfw": 0.01},
        "scanner": "stub",
        "upload": upload,
    }


def value_of(upload: bytes | None) -> bytes:
    """The decision's bytes, of an upload's bytes."""
    return json.dumps(decide(json.loads(upload or b""))).encode()


def headers_of(cause: bytes, subject: bytes | None) -> list[Header]:
    """The decision's CloudEvents headers; `cause` is the upload's `ce_id`, `subject` its key."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"decision-" + cause),
        ("ce_type", b"mediagate.approved.v1"),
        ("ce_source", b"/peer"),
        ("ce_time", str(time.time()).encode()),
        ("ce_subject", subject or b""),
        ("ce_causationid", cause),
        ("content-type", b"application/json"),
    ]
