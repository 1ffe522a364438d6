"""What every scanner must do: the shipped fake, the model, Google's and Modal's clients, in one suite."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import pytest
import pytest_asyncio

from mediagate.errors import TransientError
from mediagate.events import Outcome
from mediagate.media_pool import MediaPool
from mediagate.policy import decide, load_policy
from mediagate.scanners import ScanItem, Scanned, Scanner, ScanResult, Unavailable, Unscannable
from mediagate.scanners.local import LocalScanner
from mediagate.scanners.modal import ModalScanner
from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.scanners.reasons import Reason
from mediagate.scanners.vision import VisionScanner
from mediagate.settings import StreamsSettings
from mediagate.testing.scanner import ScriptedScanner
from scan_engine.engine import Engine
from tests import samples
from tests.conftest import ROOT
from tests.modal_server import ModalServer, modal_server
from tests.object_server import ObjectServer, object_server
from tests.settings import streams_settings
from tests.vision_server import vision_server

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the pool belongs to one loop

BENIGN = samples.jpeg(256, 256)
UNSAFE = UNSAFE_PICTURE.read_bytes()
PAGE = samples.HTML
VIDEO = samples.mp4(2)
TRUNCATED_VIDEO = samples.mp4(30, faststart=True)[:8000]

SCRIPT = {
    hashlib.sha256(content).hexdigest(): result
    for content, result in (
        (UNSAFE, Scanned({"nsfw": 0.92})),
        (PAGE, Unscannable(Reason.NOT_MEDIA)),
        (TRUNCATED_VIDEO, Unscannable(Reason.MISSING_FRAMES)),
    )
}


@pytest.fixture(scope="module")
def pool() -> Iterator[MediaPool]:
    with MediaPool(streams_settings()) as running:
        yield running


@pytest.fixture
def scripted() -> Scanner:
    return ScriptedScanner(SCRIPT, reads=True)


@pytest.fixture
def local(pool: MediaPool) -> Scanner:
    return LocalScanner(pool, streams_settings())


@pytest_asyncio.fixture(loop_scope="module")
async def vision_by_url(pool: MediaPool) -> AsyncIterator[Scanner]:
    async with (
        vision_server() as vision,
        VisionScanner(vision_settings(vision.address, "url"), pool) as scanner,
    ):
        yield scanner


@pytest_asyncio.fixture(loop_scope="module")
async def vision_by_content(pool: MediaPool) -> AsyncIterator[Scanner]:
    async with (
        vision_server() as vision,
        VisionScanner(vision_settings(vision.address, "content"), pool) as scanner,
    ):
        yield scanner


def vision_settings(address: str, mode: Literal["url", "content"]) -> StreamsSettings:
    return streams_settings(vision_endpoint=address, vision_input=mode)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modal_engine() -> AsyncIterator[ModalServer]:
    with Engine(streams_settings(), deadline=60) as engine:
        async with modal_server(engine.scan) as served:
            yield served


@pytest_asyncio.fixture(loop_scope="module")
async def modal(modal_engine: ModalServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scanner]:
    monkeypatch.setenv("MODAL_SERVER_URL", modal_engine.url)
    async with ModalScanner(modal_engine.settings()) as scanner:
        yield scanner


@pytest.fixture(params=["scripted", "local", "vision_by_url", "vision_by_content", "modal"])
def scanner(request: pytest.FixtureRequest) -> Scanner:
    found: Scanner = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served:
        yield served


def worst(result: object) -> float:
    assert isinstance(result, Scanned)
    return max(result.scores.values())


async def each_result(scanner: Scanner, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
    """A batch that fails for now is as good as one of which every item does."""
    try:
        return await scanner.scan(items)
    except TransientError as error:
        return [Unavailable(str(error))] * len(items)


async def test_a_scanner_has_a_name_and_a_model_version(scanner: Scanner) -> None:
    assert scanner.name
    assert await scanner.model_version() == await scanner.model_version() != ""


async def test_a_scanner_that_can_be_used_says_so_without_scanning(scanner: Scanner) -> None:
    await scanner.check()


async def test_no_items_no_results(scanner: Scanner) -> None:
    assert list(await scanner.scan([])) == []


async def test_one_result_per_item_in_order(scanner: Scanner, server: ObjectServer) -> None:
    contents = [BENIGN, UNSAFE, PAGE] * 7  # more than the model's batch
    items = [server.item(f"item{number}", each, "image/jpeg") for number, each in enumerate(contents)]

    results = await scanner.scan(items)

    assert len(results) == len(items)
    for content, result in zip(contents, results, strict=True):
        if content is PAGE:
            assert isinstance(result, Unscannable)
        else:
            assert worst(result) > 0.8 if content is UNSAFE else worst(result) < 0.4


async def test_scores_are_within_their_range(scanner: Scanner, server: ObjectServer) -> None:
    (result,) = await scanner.scan([server.item("unsafe", UNSAFE, "image/jpeg")])

    assert isinstance(result, Scanned)
    assert all(0 <= score <= 1 for score in result.scores.values())


@pytest.mark.parametrize("scanner", ["scripted", "local", "modal"], indirect=True)
async def test_videos_are_scored_whole_or_not_at_all(scanner: Scanner, server: ObjectServer) -> None:
    sound, truncated = await scanner.scan(
        [server.item("video", VIDEO, "video/mp4"), server.item("truncated", TRUNCATED_VIDEO, "video/mp4")]
    )

    assert worst(sound) < 0.4
    assert truncated == Unscannable(Reason.MISSING_FRAMES)


async def test_an_object_that_changed_is_not_scored(scanner: Scanner, server: ObjectServer) -> None:
    items = [server.item("changed", BENIGN, "image/jpeg"), server.item("sound", BENIGN, "image/jpeg")]
    server.put("changed", UNSAFE)

    changed, sound = await scanner.scan(items)

    assert changed == Unscannable(Reason.OBJECT_CHANGED)
    assert worst(sound) < 0.4


async def test_an_object_of_another_size_is_not_scored(scanner: Scanner, server: ObjectServer) -> None:
    item = server.item("item", BENIGN, "image/jpeg")
    longer = replace(item, size=item.size + 1)

    assert list(await scanner.scan([longer])) == [Unscannable(Reason.SIZE_MISMATCH)]


async def test_an_unreachable_object_fails_for_now(scanner: Scanner, server: ObjectServer) -> None:
    item = server.item("item", BENIGN, "image/jpeg")
    url = "http://127.0.0.1:9/item"  # discard: nothing answers there
    unreachable = replace(item, job_id="other", url=url, public_url=url)

    assert isinstance((await each_result(scanner, [item, unreachable]))[1], Unavailable)
    assert isinstance((await each_result(scanner, [unreachable]))[0], Unavailable)
    assert worst((await scanner.scan([item]))[0]) < 0.4


async def test_the_shipped_policy_rejects_the_unsafe_and_approves_the_benign(
    scanner: Scanner, server: ObjectServer
) -> None:
    policy = load_policy(ROOT / "policy.yaml")
    results = await scanner.scan(
        [server.item("unsafe", UNSAFE, "image/jpeg"), server.item("benign", BENIGN, "image/jpeg")]
    )

    outcomes = [
        decide(policy, "post", each.scores, scanner.name).outcome
        for each in results
        if isinstance(each, Scanned)
    ]

    assert outcomes == [Outcome.REJECTED, Outcome.APPROVED]
