"""Google's real client and the scanner around it, against a local server that can misbehave."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import pytest_asyncio
import stamina
from google.cloud.vision_v1 import AnnotateImageRequest, AnnotateImageResponse, Likelihood
from grpc import StatusCode as Code  # type: ignore[import-untyped]
from PIL import Image
from structlog.testing import capture_logs

from mediagate.errors import TransientError
from mediagate.media_pool import MediaPool
from mediagate.policy import SCANNER_CATEGORIES
from mediagate.progress import telling
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.scanners.reasons import Reason
from mediagate.scanners.routes import ScannerName
from mediagate.scanners.vision import CATEGORIES, VisionScanner, result_of, vision_input, worst
from tests import samples
from tests.object_server import ObjectServer, object_server
from tests.settings import streams_settings
from tests.vision_server import Answers, VisionServer, image_error, safe_search, vision_server

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the pool belongs to one loop

WORST_OF_BENIGN = 0.3
ERROR = Unscannable(Reason.SCANNER_ERROR)
REFUSED = Unscannable(Reason.SCANNER_REFUSED)
UNKNOWN = Unscannable(Reason.UNKNOWN_LIKELIHOOD)

both_inputs = pytest.mark.parametrize("mode", ["url", "content"])


@pytest.fixture(scope="module")
def pool() -> Iterator[MediaPool]:
    with MediaPool(streams_settings()) as running:
        yield running


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def vision() -> AsyncIterator[VisionServer]:
    async with vision_server() as served:
        yield served


def scanner_on(
    vision: VisionServer, pool: MediaPool, mode: str = "url", **changes: object
) -> AbstractAsyncContextManager[VisionScanner]:
    return VisionScanner(streams_settings(vision_endpoint=vision.address, vision_input=mode, **changes), pool)


def pictures(server: ObjectServer, count: int) -> list[ScanItem]:
    return [
        server.item(f"item{number}", samples.jpeg(64 + number, 48), "image/jpeg") for number in range(count)
    ]


def highest(result: ScanResult) -> float:
    assert isinstance(result, Scanned)
    return max(result.scores.values())


def is_of(name: str, request: AnnotateImageRequest) -> bool:
    return f"/{name}?" in request.image.source.image_uri


@both_inputs
async def test_50_pictures_are_4_requests(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, mode: str
) -> None:
    async with scanner_on(vision, pool, mode) as scanner:
        results = await scanner.scan(pictures(server, 50))

    assert [highest(result) for result in results] == [WORST_OF_BENIGN] * 50
    assert sorted(vision.sizes) == [2, 16, 16, 16]
    sent = [request.image for requests in vision.requests for request in requests]
    assert len({image.content or image.source.image_uri for image in sent}) == 50
    assert all(bool(image.content) is (mode == "content") for image in sent)


async def test_requests_stay_below_10_mb(vision: VisionServer, server: ObjectServer, pool: MediaPool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    content = samples.saved(Image.fromarray(noise), "PNG")
    items = [server.item(f"item{number}", content, "image/png") for number in range(16)]

    async with scanner_on(vision, pool, "content") as scanner:
        results = await scanner.scan(items)

    assert all(isinstance(result, Scanned) for result in results)
    assert (len(vision.requests) > 1, sum(vision.sizes)) == (True, 16)


async def test_the_feature_is_safe_search_by_the_model_that_is_set(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    async with scanner_on(vision, pool, vision_model="builtin/latest") as scanner:
        await scanner.scan(pictures(server, 1))

    (feature,) = vision.features
    assert (feature.type_.name, feature.model) == ("SAFE_SEARCH_DETECTION", "builtin/latest")


async def test_errors_of_pictures_are_theirs_alone(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    codes = {1: Code.INVALID_ARGUMENT, 2: Code.UNAVAILABLE, 3: Code.PERMISSION_DENIED, 4: Code.NOT_FOUND}

    def fail(answers: Answers) -> Answers:
        return [
            image_error(codes[index].value[0]) if index in codes else answer
            for index, answer in enumerate(answers)
        ]

    vision.changes = fail
    async with scanner_on(vision, pool) as scanner:
        results = await scanner.scan(pictures(server, 6))

    assert [highest(results[0]), highest(results[5])] == [WORST_OF_BENIGN] * 2
    assert (results[1], results[4]) == (ERROR, ERROR)
    assert isinstance(results[2], Unavailable)
    assert isinstance(results[3], Unavailable)
    assert "secret" not in f"{results}"


@pytest.mark.parametrize("poison", [0, 7, 19])
async def test_a_picture_that_fails_its_request_is_found(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, poison: int
) -> None:
    vision.refuses = lambda request: is_of(f"item{poison}", request)

    async with scanner_on(vision, pool) as scanner:
        results = await scanner.scan(pictures(server, 20))

    assert [index for index, result in enumerate(results) if result == REFUSED] == [poison]
    assert sum(isinstance(result, Scanned) for result in results) == 19
    assert len(vision.requests) <= 2 + 2 * 4  # each halving of 16 asks twice


@pytest.mark.parametrize(
    "code",
    [
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.ABORTED,
        Code.INTERNAL,
        Code.UNKNOWN,
    ],
)
async def test_what_passes_is_tried_again(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, code: Code
) -> None:
    vision.failures.extend([code, code])

    async with scanner_on(vision, pool) as scanner:
        with capture_logs() as lines:
            (result,) = await scanner.scan(pictures(server, 1))

    assert highest(result) == WORST_OF_BENIGN
    assert len(vision.requests) == 3
    assert "secret" not in f"{lines}"


async def test_tries_are_limited(vision: VisionServer, server: ObjectServer, pool: MediaPool) -> None:
    vision.failures.extend([Code.UNAVAILABLE] * 10)

    async with scanner_on(vision, pool, vision_attempts=4) as scanner:
        with pytest.raises(TransientError, match=r"^vision: UNAVAILABLE$"):
            await scanner.scan(pictures(server, 1))

    assert len(vision.requests) == 4


async def test_every_try_is_a_sign_of_life(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    vision.failures.extend([Code.UNAVAILABLE] * 2)
    signs: list[str] = []

    async with scanner_on(vision, pool) as scanner:
        with telling(lambda: signs.append("ended")):
            await scanner.scan(pictures(server, 1))

    assert len(signs) == len(vision.requests) == 3


async def test_a_slow_answer_ends_at_the_deadline(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    vision.before_answer = never
    hurry = timedelta(milliseconds=200)
    async with scanner_on(vision, pool, vision_timeout=hurry, vision_attempts=2) as scanner:
        async with asyncio.timeout(20):
            with pytest.raises(TransientError, match="DEADLINE_EXCEEDED"):
                await scanner.scan(pictures(server, 1))

    assert len(vision.requests) == 2


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.UNAUTHENTICATED])
async def test_who_is_not_let_in_does_not_insist(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, code: Code
) -> None:
    vision.failures.extend([code] * 2)

    async with scanner_on(vision, pool) as scanner:
        with pytest.raises(TransientError, match="check the credentials") as raised:
            await scanner.scan(pictures(server, 1))
        with pytest.raises(TransientError, match="check the credentials"):
            await scanner.check()

    assert len(vision.requests) == 2
    assert "secret" not in f"{raised.value}"


async def test_an_endpoint_that_knows_no_vision_condemns_no_picture(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    vision.failures.append(Code.UNIMPLEMENTED)

    async with scanner_on(vision, pool) as scanner:
        with pytest.raises(TransientError, match="UNIMPLEMENTED"):
            await scanner.scan(pictures(server, 1))


async def test_a_check_pays_for_nothing_and_tells_when_nobody_answers(
    vision: VisionServer, pool: MediaPool
) -> None:
    async with scanner_on(vision, pool) as scanner:
        await scanner.check()
    assert vision.sizes == [0]

    vision.address = "http://127.0.0.1:9"  # discard: nothing answers there
    async with scanner_on(vision, pool) as scanner:
        with pytest.raises(TransientError, match="UNAVAILABLE"):
            await scanner.check()


@both_inputs
async def test_what_was_paid_for_is_kept_when_another_request_fails(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, mode: str
) -> None:
    items = pictures(server, 40)
    vision.failures.extend([None, Code.UNAVAILABLE, None])

    async with scanner_on(vision, pool, mode, vision_attempts=1) as scanner:
        results = await scanner.scan(items)
        missing = [
            item for item, result in zip(items, results, strict=True) if isinstance(result, Unavailable)
        ]
        assert 8 <= len(missing) <= 16
        assert all(isinstance(result, Scanned) for result in await scanner.scan(missing))

    assert sum(isinstance(result, Scanned) for result in results) == 40 - len(missing)


@pytest.mark.parametrize("surplus", [-1, 1])
async def test_answers_that_nobody_can_match_count_for_none(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, surplus: int
) -> None:
    def another_number(answers: Answers) -> Answers:
        return [*answers, safe_search()][: len(answers) + surplus] if len(answers) < 16 else answers

    vision.changes = another_number
    async with scanner_on(vision, pool) as scanner:
        results = await scanner.scan(pictures(server, 20))
        with pytest.raises(TransientError, match=f"{2 + surplus} answers for 2 images"):
            await scanner.scan(pictures(server, 2))

    assert all(isinstance(result, Scanned) for result in results[:16])
    assert all(isinstance(result, Unavailable) for result in results[16:])
    assert vision.sizes.count(4) == 1


async def test_answers_belong_to_pictures_by_their_order(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    unsafe = server.item("unsafe", UNSAFE_PICTURE.read_bytes(), "image/jpeg")
    benign = pictures(server, 30)
    items = [*benign[:21], unsafe, *benign[21:]]

    async with scanner_on(vision, pool, "content") as scanner:
        results = await scanner.scan(items)

    assert [index for index, result in enumerate(results) if highest(result) > 0.8] == [21]


async def test_an_answer_without_a_verdict_is_none(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    vision.changes = lambda answers: [AnnotateImageResponse(), *answers[1:]]

    async with scanner_on(vision, pool) as scanner:
        unknown, known = await scanner.scan(pictures(server, 2))

    assert (unknown, highest(known)) == (UNKNOWN, WORST_OF_BENIGN)


async def test_an_object_that_is_overwritten_while_vision_looks_is_not_judged(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    items = pictures(server, 2)

    async def overwrite() -> None:
        server.put("item0", samples.jpeg(99, 99))

    vision.before_answer = overwrite
    async with scanner_on(vision, pool) as scanner:
        changed, same = await scanner.scan(items)

    assert (changed, highest(same)) == (Unscannable(Reason.OBJECT_CHANGED), WORST_OF_BENIGN)


async def test_an_object_that_cannot_be_read_afterwards_is_not_judged_yet(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    async def fail() -> None:
        server.statuses += [503] * 3

    vision.before_answer = fail
    async with scanner_on(vision, pool) as scanner:
        with pytest.raises(TransientError, match="unreadable"):
            await scanner.scan(pictures(server, 1))


@both_inputs
@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
async def test_an_animation_is_as_bad_as_its_worst_frame(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, mode: str, kind: str
) -> None:
    with Image.open(UNSAFE_PICTURE) as image:
        content = samples.animation_with(image.convert("RGB"), position=7, frames=8, kind=kind)
    item = replace(server.item("animation", content, f"image/{kind.lower()}"), animated=True)

    async with scanner_on(vision, pool, mode) as scanner:
        results = await scanner.scan([item, *pictures(server, 1)])

    assert [highest(result) > 0.8 for result in results] == [True, False]
    assert len(vision.requests) == 1


async def test_animations_keep_to_16_pictures_a_request(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    items = [
        replace(server.item(f"item{number}", samples.gif(5), "image/gif"), animated=True)
        for number in range(5)
    ]

    async with scanner_on(vision, pool) as scanner:
        results = await scanner.scan(items)

    assert [highest(result) for result in results] == [WORST_OF_BENIGN] * 5
    assert vision.sizes == [16, 9]


async def test_an_animation_of_which_a_frame_has_no_verdict_has_none(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    vision.changes = lambda answers: [*answers[:-1], image_error(Code.UNAVAILABLE.value[0])]
    item = replace(server.item("animation", samples.gif(4), "image/gif"), animated=True)

    async with scanner_on(vision, pool) as scanner:
        with pytest.raises(TransientError):
            await scanner.scan([item])


@pytest.mark.parametrize(("alpha", "sent"), [(255, 1), (100, 2)])
async def test_transparency_is_sent_on_white_and_on_black_and_nothing_twice(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, alpha: int, sent: int
) -> None:
    content = samples.saved(Image.new("RGBA", (32, 32), (200, 30, 30, alpha)), "PNG")

    async with scanner_on(vision, pool, "content") as scanner:
        await scanner.scan([server.item("item", content, "image/png")])

    assert vision.sizes == [sent]


async def test_what_cannot_be_decoded_is_not_paid_for(
    vision: VisionServer, server: ObjectServer, pool: MediaPool
) -> None:
    async with scanner_on(vision, pool, "content") as scanner:
        results = await scanner.scan([server.item("page", samples.HTML, "image/jpeg")])

    assert (results, vision.requests) == ([Unscannable(Reason.NOT_MEDIA)], [])


async def test_files_larger_than_vision_reads_are_sent_smaller(
    vision: VisionServer, server: ObjectServer, pool: MediaPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = pictures(server, 1)[0], server.item("large", samples.jpeg(640, 480), "image/jpeg")
    monkeypatch.setattr("mediagate.scanners.vision.MAX_FILE_BYTES", small.size)

    async with scanner_on(vision, pool) as scanner:
        await scanner.scan([small, large])

    assert [bool(request.image.content) for request in vision.requests[0]] == [False, True]


@pytest.mark.parametrize(
    "changed", [{"vision_model": "builtin/latest"}, {"animation_frames": 5}, {"vision_input": "content"}]
)
async def test_the_version_changes_with_whatever_changes_scores(
    pool: MediaPool, changed: dict[str, object]
) -> None:
    usual: dict[str, object] = {"vision_endpoint": "http://unused:1", "vision_input": "url"}
    one, other = (VisionScanner(streams_settings(**settings), pool) for settings in (usual, usual | changed))

    assert await one.model_version() != await other.model_version()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "url"),
        ({"s3_endpoint_url": "http://minio:9000"}, "content"),
        ({"s3_public_endpoint_url": "https://media.example"}, "content"),
        ({"s3_endpoint_url": "http://minio:9000", "vision_input": "url"}, "url"),
        ({"vision_input": "content"}, "content"),
    ],
)
async def test_pictures_are_sent_where_vision_cannot_fetch_them(
    settings: dict[str, object], expected: str
) -> None:
    assert vision_input(streams_settings(**settings)) == expected


async def test_the_categories_are_those_that_policies_know() -> None:
    assert set(CATEGORIES) == set(SCANNER_CATEGORIES[ScannerName.VISION])


@pytest.mark.parametrize(
    ("likelihood", "score"),
    [
        (Likelihood.VERY_UNLIKELY, 0.1),
        (Likelihood.UNLIKELY, 0.3),
        (Likelihood.POSSIBLE, 0.5),
        (Likelihood.LIKELY, 0.7),
        (Likelihood.VERY_LIKELY, 0.9),
    ],
)
async def test_likelihoods_are_scores(likelihood: Likelihood, score: float) -> None:
    usual = {"adult": 0.1, "spoof": 0.3, "medical": 0.3, "violence": 0.3, "racy": 0.3}

    for category in CATEGORIES:
        assert result_of(safe_search(**{category: likelihood})) == Scanned(usual | {category: score})


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("likelihood", [Likelihood.UNKNOWN, 6])
async def test_one_unknown_likelihood_is_no_verdict(category: str, likelihood: int) -> None:
    assert result_of(safe_search(**{category: likelihood})) == UNKNOWN


def scored(*scores: float) -> Scanned:
    return Scanned(dict(zip(CATEGORIES, scores, strict=True)))


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([scored(0.1, 0.3, 0.5, 0.7, 0.9)], scored(0.1, 0.3, 0.5, 0.7, 0.9)),
        (
            [scored(0.1, 0.9, 0.1, 0.1, 0.1), scored(0.9, 0.1, 0.1, 0.1, 0.3)],
            scored(0.9, 0.9, 0.1, 0.1, 0.3),
        ),
        ([scored(0.9, 0.9, 0.9, 0.9, 0.9), UNKNOWN], UNKNOWN),
        ([Unavailable("later"), UNKNOWN], UNKNOWN),
        ([scored(0.1, 0.1, 0.1, 0.1, 0.1), Unavailable("later")], Unavailable("later")),
    ],
)
async def test_an_item_is_as_its_worst_frame(results: Sequence[ScanResult], expected: ScanResult) -> None:
    assert worst(results) == expected
