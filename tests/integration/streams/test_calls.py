"""What a window costs: requests to Vision and Modal through their own clients, objects in a real S3."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.events import Event, Outcome, UploadCompleted
from mediagate.media import MediaType
from mediagate.media_pool import MediaPool
from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3
from scan_engine.engine import Engine
from streams.app import guarded_scanners
from streams.block_list import BlockList
from streams.brakes import Brakes
from streams.inspection import MediaInspector
from streams.panel import Panel
from streams.recorded import RecordedDecisions
from streams.scanning import Policies, WindowScan
from tests import samples
from tests.integration.streams.scene import Scene, decision
from tests.modal_server import TOKEN_ID, TOKEN_SECRET, ModalServer, modal_server
from tests.uploads import NOW, stored
from tests.vision_server import VisionServer, vision_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZE = 50
Events = list[Event[UploadCompleted]]


@pytest.fixture
async def vision() -> AsyncIterator[VisionServer]:
    async with vision_server() as served:
        yield served


@pytest.fixture
async def modal(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModalServer]:
    with Engine(StreamsSettings.model_validate(settings.model_dump()), deadline=60) as engine:
        async with modal_server(engine.scan) as served:
            monkeypatch.setenv("MODAL_SERVER_URL", served.url)
            yield served


@pytest.fixture
def distinct(s3: S3, outside_client: "S3Client", settings: Settings) -> Events:
    return [stored(outside_client, settings.temp_bucket, samples.png(64 + number)) for number in range(SIZE)]


@pytest.fixture
def equal(s3: S3, outside_client: "S3Client", settings: Settings) -> Events:
    return [stored(outside_client, settings.temp_bucket, samples.png()) for _ in range(SIZE)]


async def outcomes(
    scene: Scene, settings: Settings, s3: S3, events: Events, **credentials: Any
) -> list[Outcome]:
    """What a worker with these credentials decides on the uploads as one window."""
    wired = StreamsSettings.model_validate(settings.model_dump() | credentials)
    with MediaPool(wired) as pool:
        async with guarded_scanners(wired, pool) as scanners:
            scan = WindowScan(
                s3,
                MediaInspector(pool, wired),
                BlockList(scene.pool, 100, now=lambda: NOW),
                Panel(
                    {each: wired.routes(each) for each in MediaType}, scanners, scene.verdicts(), scene.policy
                ),
                Policies(scene.policy),
                Brakes(scene.pool, wired.bands(), wired.brake_decisions, now=lambda: NOW),
                DeadLetterCap(scene.pool, 1.0, 100, now=lambda: NOW),
                RecordedDecisions(scene.pool),
                scene.topics,
                now=lambda: NOW,
            )
            arrivals = [scene.arrival(event, settings.temp_bucket) for event in events]
            return [decision(record).outcome for record in await scan.decide(arrivals)]


def tokens() -> dict[str, str]:
    return {"modal_token_id": TOKEN_ID, "modal_token_secret": TOKEN_SECRET}


async def test_fifty_images_are_four_requests_to_vision(
    scene: Scene, settings: Settings, s3: S3, distinct: Events, vision: VisionServer
) -> None:
    decided = await outcomes(scene, settings, s3, distinct, vision_endpoint=vision.address)

    assert decided == [Outcome.APPROVED] * SIZE
    assert sorted(vision.sizes) == [2, 16, 16, 16]


async def test_fifty_images_are_one_call_of_modal(
    scene: Scene,
    settings: Settings,
    s3: S3,
    distinct: Events,
    vision: VisionServer,
    modal: ModalServer,
) -> None:
    decided = await outcomes(scene, settings, s3, distinct, vision_endpoint=vision.address, **tokens())

    assert decided == [Outcome.APPROVED] * SIZE
    assert [len(payload["jobs"]) for payload in modal.payloads if payload["jobs"]] == [SIZE]
    assert vision.sizes == []


async def test_fifty_equal_images_are_one_scanned_image(
    scene: Scene,
    settings: Settings,
    s3: S3,
    equal: Events,
    vision: VisionServer,
    modal: ModalServer,
) -> None:
    decided = await outcomes(scene, settings, s3, equal, vision_endpoint=vision.address, **tokens())

    assert decided == [Outcome.APPROVED] * SIZE
    assert vision.sizes == [1]
    assert [payload["jobs"] for payload in modal.payloads if payload["jobs"]] == []


async def test_the_same_window_again_asks_nobody(
    scene: Scene, settings: Settings, s3: S3, distinct: Events, vision: VisionServer
) -> None:
    first = await outcomes(scene, settings, s3, distinct, vision_endpoint=vision.address)
    vision.requests.clear()

    again = await outcomes(scene, settings, s3, distinct, vision_endpoint=vision.address)

    assert again == first
    assert vision.sizes == []
