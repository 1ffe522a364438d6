"""CloudEvents in Kafka's binary mode as nearly all of them are, at a tenth of the library's cost.

Whatever looks otherwise is left to the library, which is also the oracle of this module's tests.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

Header = tuple[str, bytes]

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
REQUIRED = frozenset({"ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "content-type"})
KNOWN = REQUIRED | {"ce_subject", "ce_causationid"}


class Attributes(NamedTuple):
    """The context attributes that matter to Mediagate, of an event whose data is JSON."""

    id: str
    type: str
    source: str
    time: datetime | None
    causation_id: str | None


def is_attribute(name: str) -> bool:
    """Whether a header belongs to the CloudEvent; those of anybody else's may be any bytes."""
    return name in KNOWN or (lower := name.lower()).startswith("ce_") or lower == "content-type"


def read_attributes(headers: Sequence[Header]) -> Attributes | None:
    """The attributes in a record's headers; None where it takes the library to read them."""
    found = dict(headers)
    if not found.keys() >= REQUIRED or any(map(is_attribute, found.keys() - KNOWN)):
        return None
    if found["ce_specversion"] != b"1.0" or found["content-type"] != b"application/json":
        return None
    try:
        subject, cause = found.get("ce_subject"), found.get("ce_causationid")
        texts = [found[name].decode() for name in ("ce_id", "ce_type", "ce_source", "ce_time")]
        optional = [None if content is None else content.decode() for content in (subject, cause)]
        if not all(texts) or "" in optional or RFC_3339.fullmatch(texts[3]) is None:
            return None
        return Attributes(texts[0], texts[1], texts[2], datetime.fromisoformat(texts[3]), optional[1])
    except ValueError:  # no UTF-8, or no such day
        return None


def write_attributes(attributes: Attributes, subject: str) -> list[Header]:
    """The headers of an event in JSON; its time must know its zone."""
    headers = [
        ("ce_id", attributes.id.encode()),
        ("ce_type", attributes.type.encode()),
        ("ce_source", attributes.source.encode()),
        ("ce_subject", subject.encode()),
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
    ]
    if attributes.time is not None:
        headers.append(("ce_time", attributes.time.isoformat().replace("+00:00", "Z").encode()))
    if attributes.causation_id is not None:
        headers.append(("ce_causationid", attributes.causation_id.encode()))
    return headers
