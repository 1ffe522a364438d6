"""What the gateway does for a caller: asks for an upload, accepts it, says where it stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog

from gateway.callers import Caller
from gateway.jobs import Job, Jobs, NewJob
from gateway.models import (
    CompletionAnswer,
    DecisionAnswer,
    ItemAnswer,
    MediaAnswer,
    SignedUpload,
    UploadAnswer,
    UploadRequest,
)
from gateway.problems import FieldError, ProblemError
from gateway.uploads import fingerprint, temp_key
from mediagate import failpoints
from mediagate.database import UNAVAILABLE
from mediagate.errors import TransientError
from mediagate.events import encode
from mediagate.failpoints import Step
from mediagate.jobs import Acceptance, State, UploadDiffersError, accept, upload_completed
from mediagate.metrics import EVENTS_OWED
from mediagate.publisher import Publisher
from mediagate.serializing import json_of
from mediagate.storage import ObjectStore, PutTerms
from mediagate.topics import Topics

SOURCE = "/mediagate/gateway"
FIRST_ATTEMPT = 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UploadTerms:
    """Where uploads go and how long a signed URL lives."""

    bucket: str
    url_expires: timedelta


class UploadService:
    """The life of an upload as far as the gateway knows it."""

    def __init__(
        self,
        jobs: Jobs,
        store: ObjectStore,
        publisher: Publisher,
        topics: Topics,
        terms: UploadTerms,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._publisher = publisher
        self._topics = topics
        self._terms = terms
        self._clock = clock
        self._new_id = new_id

    async def request(
        self, caller: Caller, request: UploadRequest, idempotency_key: str | None
    ) -> UploadAnswer:
        """Makes the job, or finds the one that the same request made before, and signs its upload."""
        if not caller.may_act_for(request.user_id):
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "uploads for other users need the service role",
                [FieldError(field="user_id", message="is not the token's subject")],
            )
        wanted = self._new_job(caller, request, idempotency_key)
        job = await self._jobs.insert(wanted)
        failpoints.PROCESS.reach(Step.AFTER_INSERT)
        if job.request_fingerprint != wanted.request_fingerprint:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used with another body",
                [FieldError(field="Idempotency-Key", message="was used with another body")],
            )
        if job.state is not State.AWAITING_UPLOAD:
            return UploadAnswer(media_id=job.media_id, upload=None)
        if job.media_id != wanted.media_id:
            await self._jobs.renew_url(job.media_id, wanted.url_expires_at)
        return UploadAnswer(media_id=job.media_id, upload=self._sign(job, request, wanted.url_expires_at))

    async def complete(self, caller: Caller, media_id: UUID, traceparent: str | None) -> CompletionAnswer:
        """Accepts the uploaded bytes if they are the declared ones; says so to Kafka the first time."""
        job = await self._own_job(caller, media_id)
        if job.state is State.AWAITING_UPLOAD:
            acceptance, now = await self._accepted_object(job), self._clock()
            queued = None if acceptance is None else await self._jobs.queue(media_id, acceptance, now)
            if queued is not None:
                await self._announce(queued, now, traceparent)
                return CompletionAnswer(media_id=media_id)
            # Somebody was faster: the upload may even have been scanned and moved by now.
            job = await self._own_job(caller, media_id)
        if job.state is State.AWAITING_UPLOAD:
            raise ProblemError(HTTPStatus.CONFLICT, "the file has not been uploaded yet")
        if job.state is State.EXPIRED:
            raise ProblemError(HTTPStatus.CONFLICT, "the upload has expired; ask for a new one")
        return CompletionAnswer(media_id=media_id)

    async def status(self, caller: Caller, media_id: UUID) -> MediaAnswer:
        """Where the upload stands, and why."""
        job = await self._own_job(caller, media_id)
        item = await self._jobs.item(media_id)
        return MediaAnswer(
            media_id=media_id,
            state=job.state,
            decision=None if job.decision is None else DecisionAnswer.model_validate(job.decision),
            item=None if item is None else ItemAnswer.model_validate(item),
        )

    def _new_job(self, caller: Caller, request: UploadRequest, idempotency_key: str | None) -> NewJob:
        media_id, now = self._new_id(), self._clock()
        return NewJob(
            media_id=media_id,
            user_id=request.user_id,
            file_name=request.file_name,
            file_size=request.file_size,
            mime_type=request.mime_type,
            sha256=request.sha256_hash,
            md5=request.md5_hash,
            linked_to_type=request.linked_to_type,
            linked_to_id=request.linked_to_id,
            bucket=self._terms.bucket,
            key=temp_key(media_id),
            caller=caller.subject,
            idempotency_key=idempotency_key,
            request_fingerprint=None if idempotency_key is None else fingerprint(json_of(request)),
            created_at=now,
            url_expires_at=now + self._terms.url_expires,
        )

    def _sign(self, job: Job, request: UploadRequest, expires_at: datetime) -> SignedUpload:
        signed = self._store.presign_put(
            PutTerms(
                bucket=job.bucket,
                key=job.key,
                size=request.file_size,
                mime_type=request.mime_type,
                sha256=request.sha256_hash,
                md5=request.md5_hash,
            ),
            self._terms.url_expires,
        )
        return SignedUpload(url=signed.url, headers=signed.headers, expires_at=expires_at)

    async def _own_job(self, caller: Caller, media_id: UUID) -> Job:
        job = await self._jobs.find(media_id)
        if job is None or not caller.may_act_for(job.user_id):
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is no such upload")
        return job

    async def _accepted_object(self, job: Job) -> Acceptance | None:
        head = await self._store.head(job.bucket, job.key)
        if head is None:
            return None
        try:
            return accept(head, job.file_size, job.sha256)
        except UploadDiffersError as error:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "the stored file is not the declared one",
                [FieldError(field=error.field, message=str(error))],
            ) from error

    async def _announce(self, row: Mapping[str, Any], now: datetime, traceparent: str | None) -> None:
        """Publishes the event; where that fails the queued row still owes it, and recovery pays."""
        event = upload_completed(row, FIRST_ATTEMPT, SOURCE, now, traceparent)
        topic = self._topics.upload_completed(event.data.media_type)
        try:
            failpoints.PROCESS.reach(Step.AFTER_QUEUE)
            await self._publisher.publish([encode(event, topic.name)])
            failpoints.PROCESS.reach(Step.AFTER_ANNOUNCE)
            await self._jobs.mark_event_published(event.data.media_id, self._clock())
        except (TransientError, *UNAVAILABLE) as error:
            EVENTS_OWED.inc()
            log.warning("event owed", media_id=event.subject, error=f"{type(error).__name__}: {error}")
