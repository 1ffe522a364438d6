"""CloudEvents in Kafka's binary mode as nearly all of them are, at a tenth of the library's cost.

Whatever looks otherwise is left to the library, which is also the oracle of this module's tests.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

Header = tuple[str, bytes]

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
REQUIRED = frozenset({"ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "content-type"})
KNOWN = REQUIRED | {"ce_subject", "ce_causationid"}
JSON_CONTENT: Header = ("content-type", b"application/json")
VERSION: Header = ("ce_specversion", b"1.0")
PUBLISHERS = 100
"""Sets of header names, one of each publisher or its version, that are remembered."""


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
    if not _are_plain(tuple(found)):
        return None
    if found["ce_specversion"] != b"1.0" or found["content-type"] != b"application/json":
        return None
    try:
        id_, type_, source = found["ce_id"].decode(), found["ce_type"].decode(), found["ce_source"].decode()
        subject, cause = found.get("ce_subject", b"-").decode(), found.get("ce_causationid", b"-").decode()
        time = found["ce_time"].decode()
        if not (id_ and type_ and source and subject and cause) or RFC_3339.fullmatch(time) is None:
            return None
        causation_id = cause if "ce_causationid" in found else None
        return Attributes(id_, type_, source, datetime.fromisoformat(time), causation_id)
    except (ValueError, AttributeError):  # no UTF-8, no such day, or null, as Kafka allows
        return None


@lru_cache(PUBLISHERS)
def _are_plain(names: tuple[str, ...]) -> bool:
    return REQUIRED.issubset(names) and not any(name not in KNOWN and is_attribute(name) for name in names)


def write_attributes(attributes: Attributes, subject: str) -> list[Header]:
    """The headers of an event in JSON; its time must know its zone."""
    headers = [
        ("ce_id", attributes.id.encode()),
        ("ce_type", attributes.type.encode()),
        ("ce_source", attributes.source.encode()),
        ("ce_subject", subject.encode()),
        JSON_CONTENT,
        VERSION,
    ]
    if attributes.time is not None:
        headers.append(("ce_time", attributes.time.isoformat().replace("+00:00", "Z").encode()))
    if attributes.causation_id is not None:
        headers.append(("ce_causationid", attributes.causation_id.encode()))
    return headers
