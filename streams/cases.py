"""One upload of a window, and all that is found out about it on the way to its decision."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from mediagate.events import Decision, Event, Inspection, UploadCompleted
from mediagate.scanners import ScanItem, Scanned, Unscannable
from mediagate.storage import ObjectHead


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores, and whose they are."""

    scanned: Scanned
    scanner: str
    model_version: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """The bytes are on the block list: no scanner is asked."""

    reason: str


Finding = Scored | Unscannable | Blocked


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a scanner failed with an item while it judged others; its `successes` at the last time."""

    strikes: int
    successes: int


@dataclass(slots=True, eq=False)
class Case:
    """Filled in step by step; a step that was made is not made again when a later one is retried.

    `head` may have been asked before; `item` is there once its bytes are to be read.
    `sha256` is what the object store itself verified of exactly these bytes, None where it did not.
    `recorded` is the decision that there is already, where the event changes nothing of it.
    """

    event: Event[UploadCompleted]
    head: asyncio.Task[ObjectHead | None] | None = None
    item: ScanItem = field(init=False)
    identified: bool = False
    sha256: str | None = None
    inspection: Inspection | None = None
    pdq: tuple[str, ...] = ()
    checked: bool = False
    finding: Finding | None = None
    recorded: Decision | None = None
    failures: dict[str, "Failures"] = field(default_factory=dict)

    @property
    def media_id(self) -> UUID:
        """The upload's id."""
        return self.event.data.media_id

    @property
    def animated(self) -> bool:
        """Whether its inspection found a picture of several frames."""
        return self.inspection is not None and self.inspection.frames is not None
