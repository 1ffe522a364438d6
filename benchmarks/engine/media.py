"""What is scanned, made of harmless photographs: pictures as they are uploaded, and videos of 720p."""

import io
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

PHOTOGRAPHS = (
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "coffee.png"),
    ("sklearn.datasets.images", "china.jpg"),
    ("sklearn.datasets.images", "flower.jpg"),
)
GRAIN = 3.0
"""Of a camera's sensor, in levels of 256: enlarged pictures are smooth, and would decode too fast."""
QUALITY = 88
SCREEN = (1920, 1080)
FRAME = (1280, 720)
FRAMES_PER_SECOND = 30
STREAM_OPTIONS = {"preset": "veryfast", "crf": "23"}

Pixels = npt.NDArray[np.uint8]


def make_pictures(directory: Path) -> Mapping[str, list[Path]]:
    """Files of each kind of picture."""
    kinds: Mapping[str, tuple[str, Callable[[Image.Image], bytes]]] = {
        "JPEG of 2 MP": ("jpeg", lambda photograph: _jpeg(photograph, (1632, 1224))),
        "JPEG of 12 MP": ("jpeg", lambda photograph: _jpeg(photograph, (4000, 3000))),
        "PNG of a screen": ("png", _screenshot),
    }
    return {
        name: [
            _written(directory / f"{name} {number}.{suffix}", make(photograph))
            for number, photograph in enumerate(_photographs())
        ]
        for name, (suffix, make) in kinds.items()
    }


def make_videos(directory: Path, seconds: int) -> Mapping[str, Path]:
    """A video with the key frames of a phone's camera, and one with x264's."""
    kinds = {"a key frame each second": FRAMES_PER_SECOND, "a key frame each 250 frames": 250}
    photograph = _photographs()[2]
    return {
        name: _written(directory / f"{name}.mp4", _video(photograph, seconds, distance))
        for name, distance in kinds.items()
    }


def _photographs() -> list[Image.Image]:
    photographs = []
    for package, name in PHOTOGRAPHS:
        with files(package).joinpath(name).open("rb") as file:
            photographs.append(Image.open(file).convert("RGB"))
    return photographs


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _jpeg(photograph: Image.Image, size: tuple[int, int]) -> bytes:
    pixels = _grainy(np.asarray(ImageOps.fit(photograph, size)), np.random.default_rng(0))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _screenshot(photograph: Image.Image) -> bytes:
    """A page of text with a photograph in it."""
    screen = Image.new("RGB", SCREEN, "white")
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, SCREEN[0], 64), fill="#24292f")
    for line in range(40):
        draw.text((80, 100 + 24 * line), f"{line:02} What is accepted is never lost. " * 3, fill="#333333")
    screen.paste(ImageOps.fit(photograph, (960, 640)), (880, 120))
    buffer = io.BytesIO()
    screen.save(buffer, "PNG")
    return buffer.getvalue()


def _video(photograph: Image.Image, seconds: int, key_frames: int) -> bytes:
    """Pans over the photograph."""
    width, height = FRAME
    wide = np.asarray(ImageOps.fit(photograph, (2 * width, height)))
    random = np.random.default_rng(0)
    frames = seconds * FRAMES_PER_SECOND
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        options = {**STREAM_OPTIONS, "g": str(key_frames)}
        stream = output.add_stream("libx264", FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            left = width * number // frames
            pixels = _grainy(wide[:, left : left + width], random)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        output.mux(stream.encode())
    return buffer.getvalue()


def _grainy(pixels: Pixels, random: np.random.Generator) -> Pixels:
    grain = random.standard_normal(pixels.shape[:2], dtype=np.float32) * np.float32(GRAIN)
    grainy: Pixels = (pixels + grain[..., None]).clip(0, 255).astype(np.uint8)
    return grainy
