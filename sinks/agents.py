"""The Faust app of the sinks worker: one agent per topic of decisions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver

from mediagate.settings import SinksSettings
from mediagate.topics import Topic
from sinks.dispatcher import Dispatcher
from workers.app import make_app
from workers.consumer import RebalanceSafeConsumer

QUEUED_RECORDS = 256
RECORDS_PER_POLL = 100


class Transport(driver.Transport):
    """Connects a Faust app to Kafka through a consumer that loses nothing to a rebalance."""

    Consumer = RebalanceSafeConsumer


def make_sinks_app(settings: SinksSettings, scratch: Path) -> faust.App:
    """The worker's app; Faust commits what is acked."""
    return make_app(
        settings,
        settings.sinks_group,
        scratch,
        QUEUED_RECORDS,
        RECORDS_PER_POLL,
        lambda app: Transport(app.conf.broker_consumer, app),
    )


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
