"""The hashes of known bytes and pictures that are never published: what an entry is, and how one is read."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from mediagate.errors import ConfigurationError

LONGEST_NOTE = 255
LONGEST_SHOWN = 40
HEX = re.compile("[0-9a-f]+")
COLUMNS = ("hash", "kind", "note")


class Kind(StrEnum):
    """What a hash is of: bytes, or for PDQ a picture however encoded."""

    SHA256 = "sha256"
    MD5 = "md5"
    PDQ = "pdq"


LENGTHS = {Kind.SHA256: 64, Kind.MD5: 32, Kind.PDQ: 64}
"""Hex digits."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One hash in lower case, and what an operator said about it."""

    kind: Kind
    hash: str
    note: str = ""


def read_entries(
    lines: Iterable[str], source: str, kind: Kind | None = None, note: str = ""
) -> Iterator[Entry]:
    """The entries of a file: one hash a line, or CSV whose first line names its columns.

    `kind` and `note` are for lines without their own. Raises ConfigurationError naming line and field.
    """
    reader = csv.reader(lines, strict=True)
    rows: Iterator[list[str]] = ([cell.strip() for cell in row] for row in reader if "".join(row).strip())
    try:
        first = next(rows, [])
        columns = _columns(first)
        if not columns:
            columns = ["hash"]
            rows = chain([first] if first else [], rows)
        for row in rows:
            yield _entry(columns, row, kind, note)
    except (csv.Error, ValueError) as error:
        raise ConfigurationError(f"{source}:{reader.line_num}: {error}") from error


def parse_entry(text: str, kind: Kind | None = None, note: str = "") -> Entry:
    """The entry of a hash, which may say its kind as in `pdq:…`; raises ValueError naming the field."""
    kind, digits = split_kind(text, kind)
    kind = kind or _kind_by_length(digits)
    if len(digits) != LENGTHS[kind] or not HEX.fullmatch(digits):
        raise ValueError(f"hash: {kind} is {LENGTHS[kind]} hex digits, not {_shown(text)}")
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise ValueError(f"note: must be at most {LONGEST_NOTE} printable characters")
    return Entry(kind, digits, note)


def split_kind(text: str, kind: Kind | None = None) -> tuple[Kind | None, str]:
    """Kind, where it is said, and digits in lower case; raises ValueError where two kinds are said."""
    prefix, colon, digits = text.strip().lower().rpartition(":")
    if not colon:
        return kind, digits
    said = _kind(prefix)
    if kind not in {None, said}:
        raise ValueError(f"hash: says {said} where kind is {kind}")
    return said, digits


def _columns(row: Sequence[str]) -> list[str]:
    """The columns that a first line names; none where it is a hash."""
    names = [name.lower() for name in row]
    if "hash" not in names:
        return []
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            raise ValueError(f"column {_shown(name)}: columns are {', '.join(COLUMNS)}, each once")
    return names


def _entry(columns: Sequence[str], row: Sequence[str], kind: Kind | None, note: str) -> Entry:
    if len(row) > len(columns):
        raise ValueError(f"{len(row)} fields where the columns are {', '.join(columns)}")
    fields = dict(zip(columns, row, strict=False))
    own_kind = fields.get("kind")
    return parse_entry(
        fields.get("hash", ""), _kind(own_kind) if own_kind else kind, fields.get("note") or note
    )


def _kind(name: str) -> Kind:
    try:
        return Kind(name.lower())
    except ValueError:
        raise ValueError(f"kind: {_shown(name)} is not {', '.join(Kind)}") from None


def _kind_by_length(digits: str) -> Kind:
    if len(digits) == LENGTHS[Kind.MD5]:
        return Kind.MD5
    if len(digits) == LENGTHS[Kind.SHA256]:
        raise ValueError("kind: 64 hex digits may be sha256 or pdq; say which with --kind")
    raise ValueError(f"hash: neither 32 nor 64 hex digits: {_shown(digits)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")
