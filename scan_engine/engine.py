"""What the deployed function does, free of Modal: a payload in, one result per job out."""

import asyncio
from types import TracebackType

from pydantic import ValidationError

from mediagate.errors import ObjectChangedError, TransientError
from mediagate.media import MediaType
from mediagate.media_pool import MediaPool
from mediagate.remote_file import Head, read_head
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.formats import HEAD_BYTES, detect
from mediagate.scanners.local import LocalScanner
from mediagate.scanners.modal_messages import PAYLOAD_TYPES, Answer, Job, JobResult, Payload, first_fault
from mediagate.scanners.reasons import Reason, UndecidableError
from mediagate.settings import MediaSettings

READS = 16
"""Objects whose first bytes are read at once."""
UNREADABLE = "object_unreadable"
UNFINISHED = "engine_deadline"
MEDIA_TYPES = {payload_type: media_type for media_type, payload_type in PAYLOAD_TYPES.items()}


class Engine:
    """The local scanner on objects of which nothing but a URL is known; belongs to one event loop.

    What is not judged within `deadline`, in seconds, is to be tried again; the rest is not lost by it.
    """

    def __init__(self, settings: MediaSettings, deadline: float) -> None:
        self._pool = MediaPool(settings)
        self._scanner = LocalScanner(self._pool, settings)
        self._deadline = deadline
        self._reads = asyncio.Semaphore(READS)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    async def scan(self, payload: object) -> dict[str, object]:
        """An Answer as plain values, a result per job in their order; a faulty payload raises ValueError."""
        asked = _validated(payload)
        media_type = MEDIA_TYPES[asked.type]
        until = asyncio.get_running_loop().time() + self._deadline
        results = await asyncio.gather(*(self._result(job, media_type, until) for job in asked.jobs))
        answer = Answer(model_version=await self._scanner.model_version(), results=list(results))
        return answer.model_dump(exclude_defaults=True)

    async def _result(self, job: Job, media_type: MediaType, until: float) -> JobResult:
        try:
            async with asyncio.timeout_at(until):
                return await self._judge(job, media_type)
        except TimeoutError:
            return JobResult(job_id=job.job_id, reason=UNFINISHED, retry=True)
        except UndecidableError as error:
            return JobResult(job_id=job.job_id, reason=error.reason.value)
        except ObjectChangedError:
            return JobResult(job_id=job.job_id, reason=Reason.OBJECT_CHANGED.value)
        except TransientError:
            return JobResult(job_id=job.job_id, reason=UNREADABLE, retry=True)

    async def _judge(self, job: Job, media_type: MediaType) -> JobResult:
        async with self._reads:
            head = await asyncio.to_thread(read_head, job.url, HEAD_BYTES)
        item = _item(job, media_type, head)
        (result,) = await self._scanner.scan([item])
        return _job_result(item, result)


def _validated(payload: object) -> Payload:
    try:
        return Payload.model_validate(payload)
    except ValidationError as error:
        raise ValueError(first_fault(error, "payload")) from None


def _item(job: Job, media_type: MediaType, head: Head) -> ScanItem:
    return ScanItem(
        job_id=job.job_id,
        media_type=media_type,
        mime_type=detect(head.content, media_type).mime_type,
        url=job.url,
        etag=head.etag,
        size=head.size,
    )


def _job_result(item: ScanItem, result: ScanResult) -> JobResult:
    match result:
        case Scanned(scores):
            return JobResult(job_id=item.job_id, etag=item.etag, size=item.size, scores=dict(scores))
        case Unscannable(reason):
            return JobResult(job_id=item.job_id, reason=reason)
        case Unavailable(reason):
            return JobResult(job_id=item.job_id, reason=reason, retry=True)
