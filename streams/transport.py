"""Faust's Kafka transport, with two changes: records arrive in chunks, and demand decides what is fetched.

The records of one poll of one partition reach the agent as one event, so that Faust's cost per event is
paid per chunk. Offsets are the ledger's business: topics on this transport have acks disabled.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import faust
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from workers.consumer import RebalanceSafeConsumer, Records

WAIT_WHILE_WITHHELD = 0.1
"""Seconds until those topics that are wanted are looked at again, while others are not."""


class Demand:
    """Which topics may be fetched; a topic without demand stays on the broker (backpressure)."""

    def __init__(self) -> None:
        self._withheld: set[str] = set()
        self._changed = asyncio.Event()

    def allow(self, topic: str, allowed: bool) -> None:
        """Lets a topic's records be fetched, or not."""
        if allowed:
            self._withheld.discard(topic)
            self._changed.set()
        else:
            self._withheld.add(topic)

    def wanted(self, partitions: set[TP]) -> set[TP]:
        """Those of the partitions whose topic may be fetched."""
        return {tp for tp in partitions if tp.topic not in self._withheld}

    async def wait(self, timeout: float) -> None:
        """Returns when a topic is allowed again, at the latest after `timeout` seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return


class ChunkSchema(Schema[Any, Any]):
    """Hands a chunk to the agent as it is: decoding is ours, so that nothing undecodable is lost."""

    def compile(self, app: Any, **_: Any) -> Any:
        """The function that Faust calls for every message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class ChunkConsumer(RebalanceSafeConsumer):
    """Hands on one message per partition and poll, whose value is the list of its records."""

    def messages(self, tp: TP, records: Records) -> Iterator[Any]:
        """Faust's message of a partition's records: one for all of them, at the offset of the last."""
        if records:
            message: Any = self._to_message(tp, records[-1])
            message.value = records
            yield message

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        demand = cast("Transport", self.transport).demand
        partitions = active_partitions or set()
        wanted = demand.wanted(partitions)
        if not wanted:
            await demand.wait(timeout)
            return {}
        if len(wanted) == len(partitions):
            return await super()._getmany(wanted, timeout)
        # A poll cannot be broken off, and a topic may be wanted again at any time.
        found = await super()._getmany(wanted, 0)
        if not found and demand.wanted(partitions) == wanted:
            await demand.wait(WAIT_WHILE_WITHHELD)
        return found


class Transport(driver.Transport):
    """Connects a Faust app to Kafka through chunks."""

    Consumer = ChunkConsumer

    def __init__(self, app: faust.App, demand: Demand) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.demand = demand
