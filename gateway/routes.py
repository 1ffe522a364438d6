"""HTTP routes: each reads the request, asks the service, and writes the answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from gateway.auth import Authenticator
from gateway.callers import Caller
from gateway.models import CompletionRequest, ReadinessAnswer, UploadRequest
from gateway.problems import ProblemError
from gateway.readiness import Check, missing_dependencies
from gateway.requests import parse, read_json, traceparent
from gateway.service import UploadService
from gateway.uploads import UploadRules
from mediagate.serializing import json_of

UUID_FORM = "[0-9a-fA-F-]{36}"


class MediaRoutes:
    """`/media`: for callers with a token."""

    def __init__(self, service: UploadService, authenticator: Authenticator, rules: UploadRules) -> None:
        self._service = service
        self._authenticator = authenticator
        self._rules = rules

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Makes the routes known."""
        router.add_post("/media/request-upload", self.request_upload)
        router.add_post("/media/upload-complete", self.upload_complete)
        router.add_get(f"/media/{{media_id:{UUID_FORM}}}", self.media)

    async def request_upload(self, request: web.Request) -> web.Response:
        """Answers a signed URL for a declared file."""
        caller = await self._caller(request)
        body, idempotency_key = parse(UploadRequest, await read_json(request), request.headers, self._rules)
        return _json(await self._service.request(caller, body, idempotency_key), HTTPStatus.CREATED)

    async def upload_complete(self, request: web.Request) -> web.Response:
        """Accepts an upload for its scan."""
        caller = await self._caller(request)
        body, _ = parse(CompletionRequest, await read_json(request), request.headers)
        answer = await self._service.complete(caller, body.media_id, traceparent(request.headers))
        return _json(answer, HTTPStatus.ACCEPTED)

    async def media(self, request: web.Request) -> web.Response:
        """Says where an upload stands."""
        caller = await self._caller(request)
        try:
            media_id = UUID(request.match_info["media_id"])
        except ValueError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is no such upload") from error
        return _json(await self._service.status(caller, media_id), HTTPStatus.OK)

    async def _caller(self, request: web.Request) -> Caller:
        return await self._authenticator.authenticate(request.headers.get("Authorization"))


class OperationRoutes:
    """Health, metrics and the descriptions of API and topics: for everyone who can reach the port."""

    def __init__(
        self, checks: Mapping[str, Check], openapi: Mapping[str, Any], asyncapi: Mapping[str, Any]
    ) -> None:
        self._checks = checks
        self._openapi = openapi
        self._asyncapi = asyncapi

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Makes the routes known."""
        router.add_get("/livez", self.livez)
        router.add_get("/readyz", self.readyz)
        router.add_get("/metrics", self.metrics)
        router.add_get("/openapi.json", self.openapi)
        router.add_get("/asyncapi.json", self.asyncapi)

    async def livez(self, _: web.Request) -> web.Response:
        """Answers while the event loop runs."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Says which dependency is missing."""
        missing = await missing_dependencies(self._checks)
        status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        return _json(ReadinessAnswer(status="not ready" if missing else "ready", missing=missing), status)

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus' text format."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, _: web.Request) -> web.Response:
        """The OpenAPI document."""
        return web.json_response(self._openapi)

    async def asyncapi(self, _: web.Request) -> web.Response:
        """The AsyncAPI document."""
        return web.json_response(self._asyncapi)


def _json(answer: BaseModel, status: HTTPStatus) -> web.Response:
    return web.Response(body=json_of(answer), status=status, content_type="application/json")
