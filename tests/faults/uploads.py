"""Uploads of every kind, drawn from a seed: their bytes, rows and events, and where each must end."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random
from uuid import UUID

from PIL import Image

from mediagate.jobs import State
from mediagate.media import MediaType
from tests.faults.checker import Accepted
from tests.faults.script import ENDS, outcome_of
from tests.samples import HTML, mp4, saved

SIDE = 16
FREE = struct.Struct(">I4s16s")
"""An MP4 box that players skip."""


class Kind(StrEnum):
    """How an upload comes to the pipeline."""

    QUEUED = "queued"  # a row and its event
    CLIENT = "client"  # by the gateway, as a client does: asks for a URL, uploads, says that it has
    FOREIGN = "foreign"  # an upstream service's event, without a row
    OWED = "owed"  # a row whose event was never published
    SILENT = "silent"  # uploaded, and never completed by the client
    ABANDONED = "abandoned"  # never uploaded


WEIGHTS = {Kind.QUEUED: 62, Kind.CLIENT: 22, Kind.FOREIGN: 8, Kind.OWED: 3, Kind.SILENT: 3, Kind.ABANDONED: 2}
DAMAGED, VIDEO, REPEATED, DUPLICATE, COMMON_NAME = 0.03, 0.05, 0.05, 0.1, 0.1
"""Shares: bytes that decode as nothing, videos, bytes of before, sent twice, one file name."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload to be."""

    media_id: UUID
    kind: Kind
    body: bytes
    mime_type: str
    file_name: str
    linked_to_type: str
    damaged: bool
    times: int
    """How often its event is sent, or a client's requests at once."""

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def media_type(self) -> MediaType:
        """The declared one's."""
        return MediaType.VIDEO if self.mime_type.startswith("video/") else MediaType.IMAGE

    @property
    def accepted(self) -> Accepted:
        """Where it must end."""
        if self.kind is Kind.ABANDONED:
            return Accepted(str(self.media_id), None, State.EXPIRED)
        end = State.UNSCANNABLE if self.damaged else ENDS[outcome_of(self.sha256)]
        return Accepted(str(self.media_id), self.sha256, end)


def chance(seed: int | str) -> Random:
    """The only source of chance of a run."""
    return Random(seed)  # noqa: S311 - nothing is secret here


def uploads(random: Random) -> Iterator[Upload]:
    """Without end, always the same of the same seed."""
    earlier: list[bytes] = []
    while True:
        damaged, video = random.random() < DAMAGED, random.random() < VIDEO
        if earlier and not video and not damaged and random.random() < REPEATED:
            body = random.choice(earlier)
        else:
            body = _body(random, damaged, video)
            if not video and not damaged:
                earlier.append(body)
        media_id = UUID(bytes=random.randbytes(16), version=4)
        (kind,) = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        yield Upload(
            media_id=media_id,
            kind=kind,
            body=body,
            mime_type="video/mp4" if video else "image/png",
            file_name="photo.png" if random.random() < COMMON_NAME else f"{media_id.hex[:12]}.png",
            linked_to_type=random.choice(["post", "opportunity", "project", "comment"]),
            damaged=damaged,
            times=2 if random.random() < DUPLICATE else 1,
        )


def _body(random: Random, damaged: bool, video: bool) -> bytes:
    if damaged:
        return HTML + random.randbytes(8).hex().encode()
    if video:
        return _video() + FREE.pack(FREE.size, b"free", random.randbytes(16))
    return saved(Image.frombytes("RGB", (SIDE, SIDE), random.randbytes(SIDE * SIDE * 3)), "PNG")


@cache
def _video() -> bytes:
    return mp4(1)
