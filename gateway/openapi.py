"""The HTTP API as an OpenAPI 3.1 document, made from the models."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.models import (
    IDEMPOTENCY_KEY_PATTERN,
    CompletionAnswer,
    CompletionRequest,
    MediaAnswer,
    ReadinessAnswer,
    UploadAnswer,
    UploadRequest,
)
from gateway.problems import CONTENT_TYPE, Problem
from gateway.uploads import UploadRules

Json = dict[str, Any]

MEDIA_ID_OF_ANSWER = "$response.body#/media_id"
ANY_ROUTE = {500: "An unexpected failure; the request id leads to its log line"}
TOKEN = {401: "No valid bearer token", 503: "A dependency does not answer: try again after Retry-After"}
BODY = {
    400: "Not JSON",
    408: "The body did not arrive in time",
    413: "The body is larger than 64 KiB",
    415: "The body is not application/json, or has a Content-Encoding",
}
UPLOAD = {
    403: "`user_id` is another user and the token has no service role",
    422: "Faulty fields, all of them named; or the Idempotency-Key was used with another body",
}
COMPLETION = {
    404: "No such upload of this user",
    409: "Not uploaded yet, or expired",
    422: "A faulty `media_id`; or the stored file's size or checksum is not the declared one",
}
HEADER_PARAMETERS: dict[str, tuple[str, str, Json]] = {
    "RequestId": (
        "X-Request-ID",
        "Returned, and part of every log line, where it is 1 to 128 of A-Z a-z 0-9 . _ -",
        {"type": "string"},
    ),
    "Traceparent": ("traceparent", "W3C trace context, passed into the event", {"type": "string"}),
    "IdempotencyKey": (
        "Idempotency-Key",
        "Repeating a request under the same key leads to the same job",
        {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
    ),
}


def openapi_document(rules: UploadRules) -> Json:
    """The document, with the limits as they are set."""
    spec = APISpec(
        title="Mediagate",
        version=version("mediagate"),
        openapi_version="3.1.0",
        info={"description": "Uploads that are published only after a scanner has passed their bytes."},
    )
    _add_components(spec, rules)
    _add_media_paths(spec)
    _add_operation_paths(spec)
    return spec.to_dict()


def _add_components(spec: APISpec, rules: UploadRules) -> None:
    requests: list[type[BaseModel]] = [UploadRequest, CompletionRequest]
    answers: list[type[BaseModel]] = [UploadAnswer, CompletionAnswer, MediaAnswer, ReadinessAnswer, Problem]
    _, schemas = models_json_schema(
        [(model, "validation") for model in requests] + [(model, "serialization") for model in answers],
        ref_template="#/components/schemas/{model}",
    )
    _state_limits(schemas["$defs"]["UploadRequest"]["properties"], rules)
    for name, schema in schemas["$defs"].items():
        spec.components.schema(name, schema)
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for component, (name, description, schema) in HEADER_PARAMETERS.items():
        parameter = {"name": name, "description": description, "required": False, "schema": schema}
        spec.components.parameter(component, "header", parameter)


def _state_limits(properties: Json, rules: UploadRules) -> None:
    limits = ", ".join(f"{media_type}: {limit}" for media_type, limit in sorted(rules.limits.items()))
    properties["mime_type"]["enum"] = sorted(rules.mime_types)
    properties["file_size"]["maximum"] = rules.max_bytes(None)
    properties["file_size"]["description"] = f"Bytes; at most, {limits}"


def _add_media_paths(spec: APISpec) -> None:
    accepted = _json_content("The job, and the request that stores its file", "UploadAnswer")
    accepted["links"] = {
        "complete": {"operationId": "completeUpload", "requestBody": {"media_id": MEDIA_ID_OF_ANSWER}},
        "status": {"operationId": "getMedia", "parameters": {"media_id": MEDIA_ID_OF_ANSWER}},
    }
    request_upload = _operation(
        "requestUpload",
        "Ask for a signed URL to upload a file",
        {201: accepted},
        {**TOKEN, **BODY, **UPLOAD},
        body="UploadRequest",
        parameters=("RequestId", "IdempotencyKey"),
    )
    upload_complete = _operation(
        "completeUpload",
        "Say that the file is uploaded",
        {202: _json_content("Accepted for its scan", "CompletionAnswer")},
        {**TOKEN, **BODY, **COMPLETION},
        body="CompletionRequest",
        parameters=("RequestId", "Traceparent", "IdempotencyKey"),
    )
    media = _operation(
        "getMedia",
        "Where an upload stands",
        {200: _json_content("Its state, decision and published object", "MediaAnswer")},
        {**TOKEN, 404: COMPLETION[404]},
        parameters=("RequestId",),
    )
    media_id = {"name": "media_id", "in": "path", "schema": {"type": "string", "format": "uuid"}}
    spec.path("/media/request-upload", operations={"post": request_upload})
    spec.path("/media/upload-complete", operations={"post": upload_complete})
    spec.path("/media/{media_id}", operations={"get": media}, parameters=[media_id])


def _add_operation_paths(spec: APISpec) -> None:
    text, document = {"type": "string"}, {"type": "object"}
    answers: dict[str, tuple[str, Mapping[int, Json]]] = {
        "livez": ("Whether the process runs", {200: _content("It does", "text/plain", text)}),
        "readyz": (
            "Whether every dependency answers",
            {
                200: _json_content("Ready", "ReadinessAnswer"),
                503: _json_content("A dependency is missing", "ReadinessAnswer"),
            },
        ),
        "metrics": ("Prometheus metrics", {200: _content("All metrics", "text/plain", text)}),
        "openapi.json": (
            "This document",
            {200: _content("OpenAPI 3.1", "application/json", document)},
        ),
        "asyncapi.json": (
            "The topics",
            {200: _content("AsyncAPI 3.0", "application/json", document)},
        ),
    }
    for path, (summary, responses) in answers.items():
        operation = _operation(path.partition(".")[0], summary, responses, {}, protected=False)
        spec.path(f"/{path}", operations={"get": operation})


def _operation(
    operation_id: str,
    summary: str,
    answers: Mapping[int, Json],
    problems: Mapping[int, str],
    body: str | None = None,
    parameters: Iterable[str] = (),
    protected: bool = True,
) -> Json:
    described = {
        status: _content(text, CONTENT_TYPE, _reference("Problem"))
        for status, text in {**problems, **ANY_ROUTE}.items()
        if status not in answers
    }
    operation: Json = {
        "operationId": operation_id,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {str(status): answer for status, answer in sorted({**answers, **described}.items())},
    }
    if protected:
        operation["security"] = [{"token": []}]
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(body)}},
        }
    return operation


def _json_content(description: str, schema: str) -> Json:
    return _content(description, "application/json", _reference(schema))


def _content(description: str, content_type: str, schema: Json) -> Json:
    return {"description": description, "content": {content_type: {"schema": schema}}}


def _reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}
