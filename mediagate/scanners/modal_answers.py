"""Which job of a Modal call has which result; pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from pydantic import ValidationError

from mediagate.errors import MediagateError, RefusedError, TransientError
from mediagate.media import MediaType
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.modal_messages import MAX_JOBS, PAYLOAD_TYPES, Answer, JobResult
from mediagate.scanners.reasons import Reason

REASON = re.compile(r"[a-z_]{1,64}")
UNAVAILABLE = "modal_unavailable"


class Call:
    """Jobs of one media type, what came of each try, and the jobs that are still open."""

    def __init__(self, media_type: MediaType, urls: dict[str, str]) -> None:
        self.media_type = media_type
        self.job_ids = frozenset(urls)
        self.open = urls
        self.results: dict[str, JobResult] = {}
        self.model_versions: list[str] = []
        self.tries: list[MediagateError | None] = []

    def payload(self) -> dict[str, object]:
        """The argument of the next try."""
        jobs = [{"job_id": job_id, "url": url} for job_id, url in self.open.items()]
        return {"type": PAYLOAD_TYPES[self.media_type], "jobs": jobs}

    def take(self, answer: Answer) -> int:
        """Keeps the only result of each open job; how many results belong to none of them."""
        self.model_versions.append(answer.model_version)
        job_ids = [_job_id(result) for result in answer.results]
        times = Counter(job_ids)
        asked = frozenset(self.open)
        for job_id, result in zip(job_ids, answer.results, strict=True):
            if job_id is not None and job_id in asked and times[job_id] == 1:
                self.results[job_id] = _valid(job_id, result)
                del self.open[job_id]
        return sum(job_id not in asked for job_id in job_ids)

    @property
    def failure(self) -> MediagateError | None:
        """Why the last try brought no answer; a refusal only where every try was refused."""
        last = self.tries[-1]
        if isinstance(last, RefusedError) and not all(isinstance(each, RefusedError) for each in self.tries):
            return TransientError(str(last))
        return last

    def result(self, item: ScanItem) -> ScanResult:
        """The item's result once no further try is made: the scores of other bytes are none."""
        found = self.results.get(item.job_id)
        if found is None:
            missing = self.failure is None
            return Unscannable(Reason.MISSING_RESULT.value) if missing else Unavailable(UNAVAILABLE)
        if found.scores is None:
            reason = (
                found.reason
                if found.reason and REASON.fullmatch(found.reason)
                else Reason.SCANNER_ERROR.value
            )
            return Unavailable(reason) if found.retry else Unscannable(reason)
        if found.etag not in {None, item.etag}:
            return Unscannable(Reason.OBJECT_CHANGED.value)
        if found.size not in {None, item.size}:
            return Unscannable(Reason.SIZE_MISMATCH.value)
        return Scanned(found.scores)

    def is_bound(self, item: ScanItem) -> bool:
        """Whether the item's result names the bytes that it is about."""
        return self.results[item.job_id].etag is not None


def calls(items: Sequence[ScanItem]) -> list[Call]:
    """One call per media type and per MAX_JOBS jobs; items with the same job_id are one job."""
    return [
        Call(media_type, dict(jobs))
        for media_type in MediaType
        for jobs in _parts({item.job_id: item.public_url for item in items if item.media_type is media_type})
    ]


def _parts(urls: dict[str, str]) -> Iterator[list[tuple[str, str]]]:
    jobs = iter(urls.items())
    while part := list(islice(jobs, MAX_JOBS)):
        yield part


def _job_id(result: object) -> str | None:
    job_id = result.get("job_id") if isinstance(result, dict) else None
    return job_id if isinstance(job_id, str) else None


def _valid(job_id: str, result: object) -> JobResult:
    try:
        return JobResult.model_validate(result)
    except ValidationError:
        return JobResult(job_id=job_id, reason=Reason.SCANNER_ERROR.value)
