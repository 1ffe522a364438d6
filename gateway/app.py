"""Wires the gateway, starts it, and ends it when asked to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
import uvloop
from aiohttp import web

from gateway.auth import Authenticator, PublishedKeys, signing_keys
from gateway.jobs import Jobs
from gateway.middleware import explain_failures, observe
from gateway.openapi import openapi_document
from gateway.readiness import Check, dependency_checks
from gateway.requests import MAX_BODY_BYTES
from gateway.routes import MediaRoutes, OperationRoutes
from gateway.service import UploadService, UploadTerms
from gateway.uploads import UploadRules
from mediagate import failpoints
from mediagate.asyncapi import asyncapi_document
from mediagate.database import connect
from mediagate.errors import ConfigurationError
from mediagate.logs import configure_logs
from mediagate.process import check_buckets, check_database, check_topics, run_process
from mediagate.publisher import KafkaPublisher, Publisher
from mediagate.settings import GatewaySettings, load_settings
from mediagate.storage import S3, ObjectStore
from mediagate.topics import TopicAdmin, Topics, load_topics

PUBLISH_DEADLINE = 5.0
SERVER_OPTIONS: Mapping[str, Any] = {
    "keepalive_timeout": 30.0,  # also ends connections that never send a whole head
    "shutdown_timeout": 10.0,
    "auto_decompress": False,  # compressed bodies are refused, so nothing inflates them
    "access_log": None,
}
CLOSE_DEADLINE = 5.0

log = structlog.get_logger(__name__)


def main() -> int:
    """Runs the gateway until SIGTERM or SIGINT; one line on standard error where it cannot start."""
    return run_process("gateway", serve, uvloop.new_event_loop)


async def serve(stopping: asyncio.Event) -> None:
    """Connects, checks, listens, and drains when the process is told to end."""
    settings = load_settings(GatewaySettings)
    configure_logs("gateway", settings.log_level, settings.log_format)
    failpoints.PROCESS.arm(settings.failpoints)
    async with AsyncExitStack() as stack:
        app = await wire(settings, stack)
        runner = web.AppRunner(app, **SERVER_OPTIONS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        address = await _listen(runner, settings.host, settings.port)
        log.info("listening", url=f"http://{address}")
        await stopping.wait()
        log.info("draining")


async def wire(settings: GatewaySettings, stack: AsyncExitStack) -> web.Application:
    """The application on its real collaborators, all of them checked; the stack closes them."""
    topics = load_topics(settings.topics_file)
    keys = signing_keys(settings)
    if isinstance(keys, PublishedKeys):
        stack.callback(keys.close)
    pool = await connect(str(settings.database_url), settings.database_pool_size)
    stack.push_async_callback(_within_deadline, pool.close, pool.terminate)
    await check_database(settings)
    store = S3(settings)
    stack.callback(store.close)
    await check_buckets(settings, store)
    admin, publisher = await _connected_kafka(settings, topics, stack)
    jobs = Jobs(pool)
    return create_app(
        settings=settings,
        authenticator=Authenticator(keys, settings.jwt_audience, settings.jwt_issuer),
        jobs=jobs,
        store=store,
        publisher=publisher,
        topics=topics,
        checks=dependency_checks(jobs, store, settings.temp_bucket, admin, topics),
    )


def create_app(
    *,
    settings: GatewaySettings,
    authenticator: Authenticator,
    jobs: Jobs,
    store: ObjectStore,
    publisher: Publisher,
    topics: Topics,
    checks: Mapping[str, Check],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_id: Callable[[], UUID] = uuid4,
) -> web.Application:
    """The application on the given collaborators."""
    rules = UploadRules.from_settings(settings)
    terms = UploadTerms(settings.temp_bucket, settings.upload_url_expires)
    service = UploadService(jobs, store, publisher, topics, terms, clock, new_id)
    app = web.Application(middlewares=[observe, explain_failures], client_max_size=MAX_BODY_BYTES)
    MediaRoutes(service, authenticator, rules).add_to(app.router)
    OperationRoutes(checks, openapi_document(rules), asyncapi_document(topics)).add_to(app.router)
    return app


async def _connected_kafka(
    settings: GatewaySettings, topics: Topics, stack: AsyncExitStack
) -> tuple[TopicAdmin, KafkaPublisher]:
    await check_topics(settings, topics)
    admin = await stack.enter_async_context(TopicAdmin(settings.kafka_bootstrap_servers))
    publisher = KafkaPublisher(settings.kafka_bootstrap_servers, "mediagate-gateway", PUBLISH_DEADLINE)
    await publisher.start()
    stack.push_async_callback(_within_deadline, publisher.stop)
    return admin, publisher


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    bound_host, bound_port, *_ = runner.addresses[0]
    return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"


async def _within_deadline(
    close: Callable[[], Awaitable[None]], give_up: Callable[[], None] | None = None
) -> None:
    try:
        async with asyncio.timeout(CLOSE_DEADLINE):
            await close()
    except TimeoutError:
        log.warning("closed without an answer", what=getattr(close, "__qualname__", ""))
        if give_up is not None:
            give_up()
