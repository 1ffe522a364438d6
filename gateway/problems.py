"""Refusals as `application/problem+json` (RFC 9457)."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
RETRY_LATER = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class FieldError(BaseModel):
    """One faulty field."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="The field or header; `body` where it is the body as a whole")
    message: str


class Problem(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    request_id: str = Field(description="The same as in the answer's X-Request-ID and in the logs")
    errors: Sequence[FieldError] = Field(default=(), description="Every faulty field")


class ProblemError(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def problem_response(error: ProblemError, request_id: str) -> web.Response:
    """The answer that says what was wrong."""
    problem = Problem(
        title=error.status.phrase,
        status=error.status,
        detail=error.detail,
        request_id=request_id,
        errors=error.errors,
    )
    return web.Response(
        status=error.status,
        body=problem.model_dump_json(exclude_none=True).encode(),
        content_type=CONTENT_TYPE,
        headers=error.headers,
    )


def field_errors(error: ValidationError) -> Iterable[FieldError]:
    """Every fault that a model found, by the field's name in the request."""
    for fault in error.errors(include_url=False, include_input=False):
        field = ".".join(map(str, fault["loc"])) or "body"
        yield FieldError(field=field, message=fault["msg"].removeprefix("Value error, "))
