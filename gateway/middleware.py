"""What every request gets: an id, a log line, metrics, a deadline, and a problem where it fails."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from itertools import count
from secrets import token_hex

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import Counter, Histogram

from gateway.problems import RETRY_LATER, ProblemError, problem_response
from mediagate.database import UNAVAILABLE
from mediagate.errors import StopError, TransientError
from mediagate.metrics import HTTP_REQUESTS, HTTP_SECONDS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_DEADLINE = 30.0
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
REQUEST_ID_KEY = web.RequestKey("request_id", str)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOST_SERIES = 1000
PROCESS, NUMBERS = token_hex(8), count(1)
"""Both together name one request alone, at a tenth of what a random UUID costs."""
AWAY = (TransientError, StopError, asyncpg.InsufficientResourcesError, *UNAVAILABLE)
"""What a dependency that is away, overloaded or refuses us makes a request fail with."""

log = structlog.get_logger(__name__)


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Names the request, and records how it went."""
    request_id = _request_id(request)
    request[REQUEST_ID_KEY] = request_id
    started = time.perf_counter()
    # Nobody has to take it away: aiohttp gives every request a task, and so a context, of its own.
    structlog.contextvars.bind_contextvars(request_id=request_id)
    response = await handler(request)
    seconds = time.perf_counter() - started
    response.headers["X-Request-ID"] = request_id
    method, route = _method(request), _route(request)
    requests, duration = _metrics(method, route, response.status)
    requests.inc()
    duration.observe(seconds)
    log.info("request", method=method, route=route, status=response.status, seconds=round(seconds, 6))
    return response


@web.middleware
async def explain_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into a problem; nothing of an unexpected one is shown but the request's id."""
    try:
        async with asyncio.timeout(REQUEST_DEADLINE):
            return await handler(request)
    except ProblemError as error:
        problem = error
    except web.HTTPException as error:
        problem = _problem_of(error)
    except AWAY as error:
        log.warning("dependency away", error=f"{type(error).__name__}: {error}")
        problem = ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "a dependency does not answer; try again later",
            headers=RETRY_LATER,
        )
    except Exception:
        log.exception("request failed")
        problem = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed unexpectedly")
    return problem_response(problem, request[REQUEST_ID_KEY])


@lru_cache(MOST_SERIES)
def _metrics(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return HTTP_REQUESTS.labels(method, route, str(status)), HTTP_SECONDS.labels(method, route)


def _problem_of(error: web.HTTPException) -> ProblemError:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    detail = (error.text or error.reason).removeprefix(f"{error.status}: ")
    return ProblemError(HTTPStatus(error.status), detail, headers=headers)


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if REQUEST_ID.fullmatch(given) else f"{PROCESS}-{next(NUMBERS)}"


def _method(request: web.Request) -> str:
    return request.method if request.method in METHODS else "other"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else resource.canonical
