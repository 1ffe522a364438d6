"""What every scanner must do: the shipped fake and the local model through one suite."""

import hashlib
from collections.abc import Iterator

import pytest

from mediagate.errors import TransientError
from mediagate.events import Outcome
from mediagate.media_pool import MediaPool
from mediagate.policy import decide, load_policy
from mediagate.scanners import ScanItem, Scanned, Scanner, Unscannable
from mediagate.scanners.local import LocalScanner
from mediagate.scanners.reasons import Reason
from mediagate.settings import StreamsSettings
from mediagate.testing.scanner import ScriptedScanner
from tests import samples
from tests.conftest import ROOT
from tests.object_server import ObjectServer, object_server

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the pool belongs to one loop

BENIGN = samples.jpeg(256, 256)
UNSAFE = samples.SYNTHETIC_POSITIVE.read_bytes()
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
def local_scanner() -> Iterator[LocalScanner]:
    settings = StreamsSettings.model_validate(
        {"kafka_bootstrap_servers": "unused:1", "database_url": "postgresql://unused@unused/unused"}
    )
    with MediaPool(settings) as pool:
        yield LocalScanner(pool, settings)


@pytest.fixture(params=["scripted", "local"])
def scanner(request: pytest.FixtureRequest) -> Scanner:
    if request.param == "local":
        found: LocalScanner = request.getfixturevalue("local_scanner")
        return found
    return ScriptedScanner(SCRIPT, reads=True)


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served:
        yield served


def nsfw(result: object) -> float:
    assert isinstance(result, Scanned)
    return result.scores["nsfw"]


async def test_a_scanner_has_a_name_and_a_model_version(scanner: Scanner) -> None:
    assert scanner.name
    assert scanner.model_version


async def test_no_items_no_results(scanner: Scanner) -> None:
    assert list(await scanner.scan([])) == []


async def test_one_result_per_item_in_order(scanner: Scanner, server: ObjectServer) -> None:
    contents = [BENIGN, UNSAFE, PAGE] * 7  # more than the model's batch
    items = [server.item(f"item{number}", each, "image/jpeg") for number, each in enumerate(contents)]

    results = await scanner.scan(items)

    assert len(results) == len(items)
    for content, result in zip(contents, results, strict=True):
        if content is PAGE:
            assert result == Unscannable(Reason.NOT_MEDIA)
        else:
            assert nsfw(result) == pytest.approx(0.92 if content is UNSAFE else 0.0, abs=0.05)


async def test_scores_are_within_their_range(scanner: Scanner, server: ObjectServer) -> None:
    (result,) = await scanner.scan([server.item("unsafe", UNSAFE, "image/jpeg")])

    assert isinstance(result, Scanned)
    assert all(0 <= score <= 1 for score in result.scores.values())


async def test_videos_are_scored_whole_or_not_at_all(scanner: Scanner, server: ObjectServer) -> None:
    sound, truncated = await scanner.scan(
        [server.item("video", VIDEO, "video/mp4"), server.item("truncated", TRUNCATED_VIDEO, "video/mp4")]
    )

    assert nsfw(sound) < 0.2
    assert truncated == Unscannable(Reason.MISSING_FRAMES)


async def test_an_object_that_changed_is_not_scored(scanner: Scanner, server: ObjectServer) -> None:
    items = [server.item("changed", BENIGN, "image/jpeg"), server.item("sound", BENIGN, "image/jpeg")]
    server.put("changed", UNSAFE)

    changed, sound = await scanner.scan(items)

    assert changed == Unscannable(Reason.OBJECT_CHANGED)
    assert nsfw(sound) < 0.2


async def test_an_object_of_another_size_is_not_scored(scanner: Scanner, server: ObjectServer) -> None:
    item = server.item("item", BENIGN, "image/jpeg")
    longer = ScanItem(item.job_id, item.media_type, item.mime_type, item.url, item.etag, item.size + 1)

    assert list(await scanner.scan([longer])) == [Unscannable(Reason.SIZE_MISMATCH)]


async def test_an_unreachable_object_fails_the_batch_for_now(scanner: Scanner, server: ObjectServer) -> None:
    item = server.item("item", BENIGN, "image/jpeg")
    url = "http://127.0.0.1:9/item"  # discard: nothing answers there
    unreachable = ScanItem("other", item.media_type, item.mime_type, url, item.etag, item.size)

    with pytest.raises(TransientError):
        await scanner.scan([item, unreachable])

    assert nsfw((await scanner.scan([item]))[0]) < 0.2


async def test_the_shipped_policy_rejects_the_unsafe_and_approves_the_benign(
    scanner: Scanner, server: ObjectServer
) -> None:
    policy = load_policy(ROOT / "policy.yaml")
    results = await scanner.scan(
        [server.item("unsafe", UNSAFE, "image/jpeg"), server.item("benign", BENIGN, "image/jpeg")]
    )

    outcomes = [decide(policy, "post", each.scores).outcome for each in results if isinstance(each, Scanned)]

    assert outcomes == [Outcome.REJECTED, Outcome.APPROVED]
