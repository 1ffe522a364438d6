"""A record that arrived: its event, or why it can never have one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord
from faust.types import TP

from mediagate.contract import check_contract
from mediagate.errors import DeadLetterError
from mediagate.events import Event, EventType, UploadCompleted, decode
from mediagate.media import MediaType
from mediagate.storage import ObjectHead


@dataclass(slots=True)
class Arrival:
    """One record of an upload-completed topic; exactly one of `event` and `fault` is there.

    `head` is asked while its window still fills.
    """

    tp: TP
    record: ConsumerRecord
    generation: int
    event: Event[UploadCompleted] | None
    fault: DeadLetterError | None
    head: asyncio.Task[ObjectHead | None] | None = None

    @property
    def size(self) -> int:
        """Bytes that scanning the upload moves."""
        return self.event.data.size if self.event else 0


Receive = Callable[[ConsumerRecord, int], Arrival]


def receiver(
    media_type: MediaType, source_buckets: frozenset[str], own_buckets: frozenset[str] = frozenset()
) -> Receive:
    """A function that makes records of one media type's topic into arrivals.

    What is to be scanned again may stand in Mediagate's own buckets, too.
    """

    def receive(record: ConsumerRecord, generation: int) -> Arrival:
        tp = TP(record.topic, record.partition)
        try:
            event = decode(
                record.key, record.value, record.headers, UploadCompleted, EventType.UPLOAD_COMPLETED
            )
            check_contract(event.data, media_type, source_buckets, own_buckets)
        except DeadLetterError as fault:
            return Arrival(tp, record, generation, None, fault)
        return Arrival(tp, record, generation, event, None)

    return receive
