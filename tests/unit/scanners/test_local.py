"""The real model on what it must and must not object to."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
from PIL import Image

from mediagate.errors import ConfigurationError, StopError
from mediagate.scanners import Scanned, ScanResult, Unscannable
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.local import model_path
from mediagate.scanners.nsfw_model import load_model, score
from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.scanners.reasons import Reason
from mediagate.scanners.sampling import Sampling
from tests import samples
from tests.object_server import ObjectServer, object_server

SAMPLING = Sampling(MediaLimits(50_000_000, 36_000, 600), animation_frames=10, video_frames=10)
UNSAFE = Image.open(UNSAFE_PICTURE)
UNSAFE.load()


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served:
        yield served


def scanned(server: ObjectServer, content: bytes, mime_type: str) -> float:
    result: ScanResult = score(str(model_path()), SAMPLING, server.item("object", content, mime_type))
    assert isinstance(result, Scanned)
    return result.scores["nsfw"]


@pytest.mark.parametrize("name", ["astronaut", "china.jpg", "flower.jpg"])
def test_benign_photographs_score_low(server: ObjectServer, name: str, tmp_path: Path) -> None:
    pixels: np.ndarray = (
        skimage.data.astronaut()  # type: ignore[no-untyped-call]
        if name == "astronaut"
        else sklearn.datasets.load_sample_image(name)
    )
    path = tmp_path / "photograph.jpg"
    Image.fromarray(pixels).save(path, quality=90)

    assert scanned(server, path.read_bytes(), "image/jpeg") < 0.2


def test_the_synthetic_positive_scores_high(server: ObjectServer) -> None:
    assert scanned(server, UNSAFE_PICTURE.read_bytes(), "image/jpeg") == pytest.approx(0.92, abs=0.02)


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg", "unsafe"])
@pytest.mark.parametrize(("kind", "side"), [("JPEG", 3000), ("JPEG", 1200), ("JPEG", 600), ("PNG", 1200)])
def test_decoding_at_a_fraction_scores_like_decoding_whole(
    server: ObjectServer, name: str, kind: str, side: int
) -> None:
    photograph = UNSAFE if name == "unsafe" else Image.fromarray(sklearn.datasets.load_sample_image(name))
    content = samples.saved(photograph.convert("RGB").resize((side * 4 // 3, side)), kind)
    (whole,) = load_model(str(model_path())).classify_batch([content])

    tolerance = 0.02 if kind == "JPEG" else 1e-6
    assert scanned(server, content, f"image/{kind.lower()}") == pytest.approx(whole.nsfw, abs=tolerance)


def test_one_unsafe_frame_is_the_score_of_an_animation(server: ObjectServer) -> None:
    content = samples.animation_with(UNSAFE, position=7, frames=8)

    assert scanned(server, content, "image/webp") > 0.8


def test_the_unsafe_last_second_is_the_score_of_a_video(server: ObjectServer) -> None:
    content = samples.video("mp4", "libx264", 10, width=256, height=256, still=UNSAFE, still_from=9)

    assert scanned(server, content, "video/mp4") > 0.8


def test_a_model_that_answers_for_fewer_frames_scores_nothing(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_model(str(model_path()))
    monkeypatch.setattr(
        classifier,
        "classify_batch",
        lambda frames, **options: type(classifier).classify_batch(classifier, frames[1:]),
    )
    item = server.item("object", samples.mp4(2), "video/mp4")

    assert score(str(model_path()), SAMPLING, item) == Unscannable(Reason.MISSING_FRAMES)


def test_a_turned_picture_scores_as_viewers_see_it(server: ObjectServer) -> None:
    content = samples.turned_jpeg(UNSAFE)

    assert scanned(server, content, "image/jpeg") > 0.85


def test_a_model_that_does_not_load_stops_the_process(tmp_path: Path) -> None:
    broken = tmp_path / "open-nsfw.onnx"
    broken.write_bytes(b"no model")

    with pytest.raises(StopError, match="does not load"):
        load_model(str(broken))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediagate.scanners.local.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"mediagate\[local\]"):
        model_path()


@pytest.mark.parametrize("changed", [{"animation_frames": 5}, {"video_frames": 5}])
def test_sampling_is_part_of_the_version(changed: dict[str, int]) -> None:
    usual = {"animation_frames": 10, "video_frames": 10}

    assert Sampling(SAMPLING.limits, **(usual | changed)).version != SAMPLING.version
