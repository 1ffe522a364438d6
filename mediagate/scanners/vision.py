"""Google Vision SafeSearch: pictures by signed URL or by content, 16 a request."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Literal, TypeVar

from google.cloud.vision_v1 import (
    AnnotateImageRequest,
    AnnotateImageResponse,
    Feature,
    Image,
    ImageSource,
    Likelihood,
)

from mediagate.errors import RefusedError, TransientError
from mediagate.media_pool import MediaPool
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.reasons import Reason
from mediagate.scanners.renditions import renditions
from mediagate.scanners.sampling import RULES_VERSION, Sampling
from mediagate.scanners.unchanged import why_not_accepted
from mediagate.scanners.vision_client import TRANSIENT_NUMBERS, VisionClient
from mediagate.settings import StreamsSettings

# https://cloud.google.com/vision/quotas: 16 images a request, 20 MB an image, 10 MB a request as JSON
MAX_IMAGES = 16
MAX_FILE_BYTES = 20_000_000
MAX_CONTENT_BYTES = 7_000_000
"""Of pictures in one request: as JSON, which has them in base64, 9.4 MB."""
GROUPS_AT_ONCE = 4

CATEGORIES = ("adult", "spoof", "medical", "violence", "racy")
SCORES = {
    Likelihood.VERY_UNLIKELY: 0.1,
    Likelihood.UNLIKELY: 0.3,
    Likelihood.POSSIBLE: 0.5,
    Likelihood.LIKELY: 0.7,
    Likelihood.VERY_LIKELY: 0.9,
}
"""The middle of each fifth of [0, 1]; UNKNOWN has none."""

VisionInput = Literal["url", "content"]
Result = TypeVar("Result")


class VisionScanner:
    """A Scanner of pictures, usable while it is entered; its categories are those of SafeSearch."""

    name = "vision"

    def __init__(self, settings: StreamsSettings, pool: MediaPool) -> None:
        self._input = vision_input(settings)
        self._model = settings.vision_model
        self._sampling = Sampling.of(settings)
        self._pool = pool
        self._client = VisionClient(settings)
        self._turns = asyncio.Semaphore(GROUPS_AT_ONCE)

    async def __aenter__(self) -> "VisionScanner":
        """Connects; raises ConfigurationError where there are no credentials."""
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends the connection."""
        await self._client.__aexit__()

    async def model_version(self) -> str:
        """Vision's model by the name it is asked for, and the rules by which it is given pictures."""
        return f"{self._model}-r{RULES_VERSION}-a{self._sampling.animation_frames}-{self._input}"

    async def check(self) -> None:
        """Raises TransientError where Vision does not answer or does not let us in; costs nothing."""
        try:
            await self._client.annotate([])
        except RefusedError:
            return  # it read our request and wants a picture in it

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item, in the items' order; raises TransientError where none was judged."""
        groups = [items[start : start + MAX_IMAGES] for start in range(0, len(items), MAX_IMAGES)]
        results = [
            result for group in await _all_of(self._scan_group(group) for group in groups) for result in group
        ]
        failures = [result.reason for result in results if isinstance(result, Unavailable)]
        if failures and len(failures) == len(results):
            raise TransientError(failures[0])
        return results

    async def _scan_group(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        # In groups, so that no more than a few hold their pictures in memory at once.
        async with self._turns:
            inputs = await _all_of(self._images(item) for item in items)
            images = [image for found in inputs if isinstance(found, tuple) for image in found]
            answers = iter([answer for chunk in _chunks(images) for answer in await self._annotate(chunk)])
            results = [
                worst(list(islice(answers, len(found)))) if isinstance(found, tuple) else found
                for found in inputs
            ]
            return await _all_of(map(self._if_unchanged, items, results))

    async def _images(self, item: ScanItem) -> tuple[Image, ...] | Unscannable | Unavailable:
        if self._is_sent_by_url(item):
            return (Image(source=ImageSource(image_uri=item.public_url)),)
        try:
            found = await self._pool.run(partial(renditions, self._sampling), item)
        except TransientError as error:
            return Unavailable(str(error))
        return found if isinstance(found, Unscannable) else tuple(Image(content=jpeg) for jpeg in found)

    def _is_sent_by_url(self, item: ScanItem) -> bool:
        # Of an animation Vision looks at the first frame alone.
        return self._input == "url" and not item.animated and item.size <= MAX_FILE_BYTES

    async def _annotate(self, images: Sequence[Image]) -> Sequence[ScanResult]:
        feature = Feature(type_=Feature.Type.SAFE_SEARCH_DETECTION, model=self._model)
        requests = [AnnotateImageRequest(image=image, features=[feature]) for image in images]
        try:
            return [result_of(response) for response in await self._client.annotate(requests)]
        except TransientError as error:
            return [Unavailable(str(error))] * len(images)
        except RefusedError:
            if len(images) == 1:
                return [Unscannable(Reason.SCANNER_REFUSED.value)]
        half = len(images) // 2
        return [*await self._annotate(images[:half]), *await self._annotate(images[half:])]

    async def _if_unchanged(self, item: ScanItem, result: ScanResult) -> ScanResult:
        # Vision reads a URL without If-Match: it saw the accepted bytes only if they are still there.
        if isinstance(result, Unavailable) or not self._is_sent_by_url(item):
            return result
        return await why_not_accepted(item) or result


def vision_input(settings: StreamsSettings) -> VisionInput:
    """How Vision gets pictures: as set, else by URL where they are on AWS, which it can reach."""
    own_store = settings.s3_public_endpoint_url or settings.s3_endpoint_url
    return settings.vision_input or ("content" if own_store else "url")


def result_of(response: AnnotateImageResponse) -> ScanResult:
    """What Vision's answer on one picture means; a likelihood that is missing or UNKNOWN is no score."""
    answer = AnnotateImageResponse.pb(response)  # proto-plus warns of values that are newer than it
    if answer.error.code in TRANSIENT_NUMBERS:
        return Unavailable(f"vision: error {answer.error.code} for a picture")
    if answer.error.code:
        return Unscannable(Reason.SCANNER_ERROR.value)
    likelihoods = {category: getattr(answer.safe_search_annotation, category) for category in CATEGORIES}
    if not SCORES.keys() >= set(likelihoods.values()):
        return Unscannable(Reason.UNKNOWN_LIKELIHOOD.value)
    return Scanned({category: SCORES[likelihood] for category, likelihood in likelihoods.items()})


def worst(results: Sequence[ScanResult]) -> ScanResult:
    """What the results on an item's frames mean for the item: its worst scores, if every frame has some."""
    for result in results:
        if isinstance(result, Unscannable):
            return result
    scored = []
    for result in results:
        if not isinstance(result, Scanned):
            return result
        scored.append(result.scores)
    return Scanned({category: max(scores[category] for scores in scored) for category in CATEGORIES})


def _chunks(images: Sequence[Image]) -> Iterator[Sequence[Image]]:
    chunk: list[Image] = []
    size = 0
    for image in images:
        if chunk and (len(chunk) == MAX_IMAGES or size + len(image.content) > MAX_CONTENT_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(image)
        size += len(image.content)
    if chunk:
        yield chunk


async def _all_of(calls: Iterable[Awaitable[Result]]) -> list[Result]:
    # None goes on unseen behind a failure of another.
    ends = await asyncio.gather(*calls, return_exceptions=True)
    results = []
    for end in ends:
        if isinstance(end, BaseException):
            raise end
        results.append(end)
    return results
