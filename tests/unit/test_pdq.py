"""PDQ: the reference's hashes, and what survives re-encoding, resizing and turning."""

import io
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageOps

from devstack.demo.media import photographs
from mediagate.pdq import MAX_DISTANCE, pdq
from tests import samples

PHOTOGRAPHS = dict(photographs())
MEANINGFUL = [name for name in PHOTOGRAPHS if name != "clock_motion"]
"""One of the photographs is so blurred that the reference gives it a quality of 34."""


def original(name: str) -> Image.Image:
    with files("skimage.data").joinpath(name).open("rb") as file:
        return Image.open(file).convert("RGB")


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def nearest(image: Image.Image, digits: str) -> int:
    """Distance of the picture in its best orientation."""
    return min(distance(turned, digits) for turned in pdq(image).hashes)


def encoded(image: Image.Image, kind: str, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


@pytest.mark.parametrize(
    ("image", "digits", "quality"),
    [  # as pdqhash 0.2.8 has them, which binds the reference
        pytest.param(
            original("astronaut.png"),
            "2d6b1af3a956c529e79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724",
            100,
            id="astronaut",
        ),
        pytest.param(
            original("chelsea.png"),
            "5feb5321f01da156898e2bf629a5d3438412cdbd23f48942464526315db33ffd",
            100,
            id="chelsea",
        ),
        pytest.param(
            original("moon.png"),
            "131645cde366d981e1e371b264d8b25b9e4d13771d8c4f366d946ca57133d0c9",
            83,
            id="moon",
        ),
        pytest.param(
            original("clock_motion.png"),
            "26cc3ccc933373334c34d778acc94cccb326f3394c932666934cd99d25337674",
            34,
            id="clock",
        ),
        pytest.param(
            samples.picture(200, 150),
            "ce0ec63032313631b1ced1cef1c64e3e4e3e0e3e31b1313185cecfcecfce3031",
            59,
            id="made",
        ),
        pytest.param(
            samples.picture(64, 48),
            "c636c6063a393a393839c9c6c9c60636063e063eb9f9b9b9b9d1c7c6c7c63839",
            77,
            id="smaller-than-64",
        ),
    ],
)
def test_hash_and_quality_are_the_references(image: Image.Image, digits: str, quality: int) -> None:
    found = pdq(image)

    assert distance(found.hashes[0], digits) <= 2  # sums in another order
    assert found.quality == pytest.approx(quality, abs=1)


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("coffee.png", "8c629e779a663698b9a33866c026726c21a679f61eb6e1f8c79ba7e23c8299e0"),
        ("motorcycle_left.png", "e0c9cfdb78d358d68a58ec54e94ba55937525b67508a0b87ad64fc6b4631c470"),
        ("retina.jpg", "83d22b5802d238191b87b1f8bf1ad487fc0f55f8405adc011fafa8f4ebfc2a59"),
    ],
)
def test_a_large_picture_is_made_smaller_and_still_matches_its_reference_hash(name: str, digits: str) -> None:
    assert distance(pdq(original(name)).hashes[0], digits) <= 22


@pytest.mark.parametrize("name", [name for name in MEANINGFUL if name != "brick"])  # too regular to halve
def test_a_photograph_is_known_again(name: str) -> None:
    image = PHOTOGRAPHS[name]
    digits = pdq(image).hashes[0]
    variants = {
        "jpeg": encoded(image, "JPEG", quality=50),
        "webp": encoded(image, "WEBP", quality=60),
        "half": image.resize((image.width // 2, image.height // 2)),
        "stretched": image.resize((image.width, image.height // 2)),
        "grey": image.convert("L").convert("RGB"),
    }

    assert pdq(image).matchable
    for kind, variant in variants.items():
        assert distance(pdq(variant).hashes[0], digits) <= MAX_DISTANCE, kind


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("side", [480, 300, 48])
def test_the_hashes_are_those_of_the_turned_and_mirrored_picture(name: str, side: int) -> None:
    image = PHOTOGRAPHS[name].resize((side, side - 15))
    hashes = pdq(image).hashes

    assert len(set(hashes)) == 8
    for turn in Image.Transpose:
        (turned, *_) = pdq(image.transpose(turn)).hashes
        assert min(distance(turned, digits) for digits in hashes) <= 2, turn.name


def test_different_photographs_are_far_apart() -> None:
    pairs = combinations([PHOTOGRAPHS[name] for name in MEANINGFUL], 2)

    assert min(nearest(one, pdq(other).hashes[0]) for one, other in pairs) >= 80


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("RGB", (200, 200), "grey"), id="flat"),
        pytest.param(Image.new("RGB", (1, 1)), id="pixel"),
        pytest.param(Image.new("RGB", (5000, 1), "red"), id="line"),
        pytest.param(
            Image.fromarray(np.tile(np.linspace(0, 255, 256, dtype=np.uint8), (256, 1))).convert("RGB"),
            id="gradient",
        ),
        pytest.param(PHOTOGRAPHS["clock_motion"], id="blurred"),
    ],
)
def test_a_picture_with_little_to_see_matches_nothing(image: Image.Image) -> None:
    found = pdq(image)

    assert found.quality < 50
    assert found.matchable == ()
    assert len(found.hashes) == 8


def test_an_upside_down_picture_has_another_first_hash() -> None:
    image = PHOTOGRAPHS["astronaut"]

    assert distance(pdq(ImageOps.flip(image)).hashes[0], pdq(image).hashes[0]) > MAX_DISTANCE
