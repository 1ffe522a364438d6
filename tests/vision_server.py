"""A local gRPC server that Google's own client takes for Vision, and that can misbehave."""

import asyncio
import io
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import grpc.aio  # type: ignore[import-untyped]
import numpy as np
import urllib3
from google.cloud.vision_v1 import (
    AnnotateImageRequest,
    AnnotateImageResponse,
    BatchAnnotateImagesRequest,
    BatchAnnotateImagesResponse,
    Feature,
    Likelihood,
    SafeSearchAnnotation,
)
from PIL import Image, UnidentifiedImageError

from mediagate.scanners.opening import UNSAFE_PICTURE

MAX_IMAGES = 16
MAX_JSON_BYTES = 10_000_000
Code = grpc.StatusCode
Answers = Sequence[AnnotateImageResponse]


def safe_search(adult: int = Likelihood.VERY_UNLIKELY, **others: int) -> AnnotateImageResponse:
    usual = dict.fromkeys(("spoof", "medical", "violence", "racy"), Likelihood.UNLIKELY)
    return AnnotateImageResponse(safe_search_annotation=SafeSearchAnnotation(adult=adult, **(usual | others)))


def image_error(code: int) -> AnnotateImageResponse:
    return AnnotateImageResponse(
        error={"code": code, "message": "at http://store/object?X-Amz-Signature=secret"}
    )


async def _at_once() -> None:
    return None


class VisionServer:
    """Looks at what it is sent and calls `UNSAFE_PICTURE` adult, however it was re-encoded."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[Sequence[AnnotateImageRequest]] = []
        self.features: list[Feature] = []
        self.failures: deque[grpc.StatusCode | None] = deque()
        """How each request ends before it is looked at, one each; None is as usual."""
        self.refuses: Callable[[AnnotateImageRequest], bool] = lambda request: False
        """One such picture makes it refuse the whole request."""
        self.changes: Callable[[Answers], Answers] = lambda answers: answers
        """What becomes of a request's answers."""
        self.before_answer: Callable[[], Awaitable[None]] = _at_once
        """Awaited once the pictures were looked at."""

    @property
    def sizes(self) -> list[int]:
        """Pictures a request."""
        return [len(requests) for requests in self.requests]

    async def annotate(
        self, batch: BatchAnnotateImagesRequest, context: grpc.aio.ServicerContext
    ) -> BatchAnnotateImagesResponse:
        self.requests.append(list(batch.requests))
        self.features += [feature for request in batch.requests for feature in request.features]
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            await context.abort(failure, "at http://store/object?X-Amz-Signature=secret")
        if not batch.requests or len(batch.requests) > MAX_IMAGES:
            await context.abort(Code.INVALID_ARGUMENT, f"{len(batch.requests)} images")
        if len(BatchAnnotateImagesRequest.to_json(batch, indent=None)) > MAX_JSON_BYTES:
            await context.abort(Code.INVALID_ARGUMENT, "Request payload size exceeds the limit")
        if any(map(self.refuses, batch.requests)):
            await context.abort(Code.INVALID_ARGUMENT, "Bad image")
        answers = [await asyncio.to_thread(_answer, request) for request in batch.requests]
        await self.before_answer()
        return BatchAnnotateImagesResponse(responses=self.changes(answers))


@asynccontextmanager
async def vision_server() -> AsyncIterator[VisionServer]:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    port = server.add_insecure_port("127.0.0.1:0")
    served = VisionServer(f"http://127.0.0.1:{port}")
    method = grpc.unary_unary_rpc_method_handler(
        served.annotate,
        request_deserializer=BatchAnnotateImagesRequest.deserialize,
        response_serializer=BatchAnnotateImagesResponse.serialize,
    )
    service = "google.cloud.vision.v1.ImageAnnotator"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"BatchAnnotateImages": method}),)
    )
    await server.start()
    try:
        yield served
    finally:
        await server.stop(None)


def _answer(request: AnnotateImageRequest) -> AnnotateImageResponse:
    try:
        content = request.image.content or _fetched(request.image.source.image_uri)
        with Image.open(io.BytesIO(content)) as image:
            unsafe = is_like_the_positive(image)  # the first frame, as Vision does
    except UnidentifiedImageError:
        return image_error(Code.INVALID_ARGUMENT.value[0])
    except (OSError, urllib3.exceptions.HTTPError):
        return image_error(Code.UNAVAILABLE.value[0])
    return safe_search(Likelihood.VERY_LIKELY if unsafe else Likelihood.VERY_UNLIKELY)


def _fetched(url: str) -> bytes:
    with urllib3.PoolManager(timeout=5.0, retries=False) as http:
        response = http.request("GET", url)
    if response.status != 200:
        raise OSError(f"{response.status}")
    return response.data


def is_like_the_positive(image: Image.Image) -> bool:
    with Image.open(UNSAFE_PICTURE) as positive:
        return float(np.abs(_thumbnail(image) - _thumbnail(positive)).mean()) < 10


def _thumbnail(image: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.asarray(image.convert("RGB").resize((8, 8), Image.Resampling.BOX), dtype=np.float64)
