"""The Faust app of the sinks worker: one agent per decision topic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from mediagate.settings import SinksSettings
from mediagate.topics import Topic
from sinks.dispatcher import Dispatcher


class _Consumer(driver.Consumer):
    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing: the agents' queues hold the fetcher back, without its idle seconds."""


class _Transport(driver.Transport):
    Consumer = _Consumer


def make_app(settings: SinksSettings, scratch: Path) -> faust.App:
    """A Faust app without web server, tables and leader; it commits what is acked."""
    app = faust.App(
        settings.sinks_group,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        datadir=str(scratch),
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        broker_max_poll_records=100,
        broker_commit_interval=1.0,
        broker_session_timeout=15.0,
        broker_heartbeat_interval=3.0,
        consumer_auto_offset_reset="earliest",
        producer_request_timeout=30.0,
        table_standby_replicas=0,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    app.transport = _Transport(app.conf.broker_consumer, app)
    return app


def add_agent(
    app: faust.App, topic: Topic, dispatcher: Dispatcher, fail: Callable[[BaseException], None]
) -> None:
    """Feeds a decision topic's events to the dispatcher.

    Faust would restart a failed agent behind the event that it failed on; a failure stops the process.
    """

    async def dispatch(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await dispatcher.put(event)
            except Exception as error:
                fail(error)
                raise

    raw = app.topic(
        topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    app.agent(raw, name=f"sinks.{topic.name}")(dispatch)
