"""Reads bodies and headers of requests that nobody vouches for."""

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.models import IdempotencyKey
from gateway.problems import FieldError, ProblemError, field_errors

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT = 10.0
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
IDEMPOTENCY_KEY: TypeAdapter[str] = TypeAdapter(IdempotencyKey)

Body = TypeVar("Body", bound=BaseModel)


async def read_json(request: web.Request) -> bytes:
    """The body; raises ProblemError where it is not plain JSON by its headers, too slow or broken."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json without a Content-Encoding",
            headers={"Accept-Post": "application/json", "Accept-Encoding": "identity"},
        )
    try:
        if request.content.is_eof():  # all of it came with the headers: there is nothing to wait for
            return await request.read()
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError as error:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time", headers={"Connection": "close"}
        ) from error
    except web.RequestPayloadError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the body is broken") from error


def parse(
    model: type[Body], body: bytes, headers: Mapping[str, str], context: object = None
) -> tuple[Body, str | None]:
    """The body and the Idempotency-Key; raises ProblemError that names every faulty field of both."""
    errors: list[FieldError] = []
    idempotency_key = headers.get("Idempotency-Key")
    if idempotency_key is not None and not _is_idempotency_key(idempotency_key):
        errors.append(
            FieldError(field="Idempotency-Key", message="must be 1 to 255 printable ASCII characters")
        )
    try:
        parsed = model.model_validate_json(body, context=context)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise ProblemError(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from error
        errors = [*field_errors(error), *errors]
    if errors:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "some fields are not acceptable", errors)
    return parsed, idempotency_key


def traceparent(headers: Mapping[str, str]) -> str | None:
    """The caller's W3C trace context, where it is one."""
    value = headers.get("traceparent", "")
    return value if TRACEPARENT.fullmatch(value) else None


def _is_idempotency_key(value: str) -> bool:
    try:
        IDEMPOTENCY_KEY.validate_python(value)
    except ValidationError:
        return False
    return True
