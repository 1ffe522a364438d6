"""A verdict is bound to bytes: an object that is overwritten on its way is never published."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.events import DECISION_TYPES, Decision, Event, Outcome, decode
from mediagate.jobs import State
from mediagate.media_pool import MediaPool
from mediagate.scanners import ScanItem, ScanResult, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.local import LocalScanner
from mediagate.scanners.routes import Route, ScannerName
from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from sinks.effects import Effects
from sinks.records import records_of
from streams.block_list import BlockList
from streams.brakes import Brakes
from streams.breakers import GuardedScanner
from streams.inspection import MediaInspector
from streams.panel import Panel
from streams.recorded import RecordedDecisions
from streams.scanning import Policies, WindowScan
from tests import samples
from tests.integration.streams.scene import Scene
from tests.uploads import NOW, stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCEPTED, OTHER = samples.png(64, 48), samples.jpeg(640, 480)
MOMENTS = (
    "never",
    "while the window fills",
    "before the window",
    "after inspection",
    "after the scan",
    "after the decision",
)


class Swapper:
    """Overwrites the object at one moment of its way."""

    def __init__(self, client: "S3Client", bucket: str, key: str, moment: str) -> None:
        self._client = client
        self._place = {"Bucket": bucket, "Key": key}
        self._moment = moment

    def at(self, moment: str) -> None:
        if moment == self._moment:
            self._client.put_object(Bucket=self._place["Bucket"], Key=self._place["Key"], Body=OTHER)


class SwappingInspector(MediaInspector):
    swapper: Swapper

    async def inspect(
        self, items: Sequence[ScanItem], *, with_pdq: bool = False
    ) -> Sequence[Inspected | Unscannable]:
        seen = await super().inspect(items, with_pdq=with_pdq)
        self.swapper.at("after inspection")
        return seen


class SwappingScanner(LocalScanner):
    swapper: Swapper

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        results = await super().scan(items)
        self.swapper.at("after the scan")
        return results


@pytest.fixture
async def pool_settings(settings: Settings) -> AsyncIterator[tuple[StreamsSettings, MediaPool]]:
    streams_settings = StreamsSettings.model_validate(settings.model_dump())
    with MediaPool(streams_settings) as pool:
        yield streams_settings, pool


@pytest.mark.parametrize("moment", MOMENTS)
async def test_what_was_overwritten_is_never_published(
    scene: Scene,
    settings: Settings,
    s3: S3,
    outside_client: "S3Client",
    pool_settings: tuple[StreamsSettings, MediaPool],
    moment: str,
) -> None:
    streams_settings, media_pool = pool_settings
    event = stored(outside_client, settings.temp_bucket, ACCEPTED)
    swapper = Swapper(outside_client, settings.temp_bucket, event.data.key, moment)
    inspector = SwappingInspector(media_pool, streams_settings)
    scanner = SwappingScanner(media_pool, streams_settings)
    inspector.swapper = scanner.swapper = swapper
    route = [Route(scanner=ScannerName.LOCAL)]
    guarded = {ScannerName.LOCAL: GuardedScanner(scanner, 3, timedelta(hours=1))}
    scan = WindowScan(
        s3,
        inspector,
        BlockList(scene.pool, 100, now=lambda: NOW),
        Panel({event.data.media_type: route}, guarded, scene.verdicts(), scene.policy),
        Policies(scene.policy),
        Brakes(scene.pool, streams_settings.bands(), 1000, now=lambda: NOW),
        DeadLetterCap(scene.pool, 1.0, 100, now=lambda: NOW),
        RecordedDecisions(scene.pool),
        scene.topics,
        now=lambda: NOW,
    )
    publisher = InMemoryPublisher()
    effects = Effects(settings, scene.topics, partial(records_of, scene.pool), s3, publisher, now=lambda: NOW)

    arrival = scene.arrival(event, settings.temp_bucket)
    swapper.at("before the window")
    scan.expect([arrival])
    assert arrival.head is not None
    await arrival.head
    swapper.at("while the window fills")
    (record,) = await scan.decide([arrival])
    swapper.at("after the decision")
    kinds = set(DECISION_TYPES.values())
    decided: Event[Decision] = decode(record.key, record.value, record.headers, Decision, *kinds)
    state = await effects.carry_out(decided)

    published = await scene.pool.fetchval("select count(*) from media_items")
    news = {each.topic for each in publisher.records}
    if moment == "never":
        assert (decided.data.outcome, state, published) == (Outcome.APPROVED, State.PUBLISHED, 1)
        assert news == {scene.topics.published.name}
        return
    assert (state, published, news) == (State.UNSCANNABLE, 0, set())
    reasons = await scene.pool.fetchval("select decision -> 'reasons' from media_jobs")
    assert reasons[0] == "object_changed"
    for bucket in settings.permanent_buckets():
        assert "Contents" not in outside_client.list_objects_v2(Bucket=bucket)
