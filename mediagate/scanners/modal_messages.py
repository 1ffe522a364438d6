"""What Mediagate and the scan engine on Modal say to each other."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mediagate.media import MediaType

MAX_JOBS = 500
"""Jobs of one call: with signed URLs they stay below the 2 MiB that Modal takes without a detour."""

PayloadType = Literal["images", "videos"]
PAYLOAD_TYPES: dict[MediaType, PayloadType] = {MediaType.IMAGE: "images", MediaType.VIDEO: "videos"}

Category = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Message(BaseModel):
    # Inputs hold signed URLs: no error may quote them.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


class Job(_Message):
    """One object to look at."""

    job_id: str = Field(min_length=1, max_length=255)
    url: str = Field(pattern=r"^https?://[^\s]+$", max_length=8192)


class Payload(_Message):
    """A call's argument."""

    type: PayloadType
    jobs: list[Job] = Field(max_length=MAX_JOBS)

    @model_validator(mode="after")
    def _every_job_id_once(self) -> "Payload":
        if len({job.job_id for job in self.jobs}) < len(self.jobs):
            raise ValueError("jobs: a job_id is there twice")
        return self


class JobResult(_Message):
    """Scores, bound to the ETag and the size of the bytes that were read; or why there are none."""

    job_id: str
    etag: str | None = None
    size: int | None = None
    scores: dict[Category, Score] | None = Field(default=None, min_length=1)
    reason: str | None = None
    retry: bool = False

    @model_validator(mode="after")
    def _scores_or_reason(self) -> "JobResult":
        if (self.scores is None) == (self.reason is None):
            raise ValueError("either scores or a reason")
        return self


class Answer(_Message):
    """A call's result; each of `results` should be a JobResult."""

    model_version: str = Field(min_length=1, max_length=255)
    results: list[Any]


def first_fault(error: ValidationError, whole: str) -> str:
    """What is wrong first, with the field's name; `whole` names the message, where no field is at fault."""
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}"
