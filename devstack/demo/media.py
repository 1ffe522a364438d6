"""Media for the demo: photographs that come with two libraries, and videos that pan over them."""

import io
from collections.abc import Iterator, Mapping
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import cast

import av
import filetype
import numpy as np
from av.video.stream import VideoStream
from PIL import Image, ImageOps

PHOTOGRAPHS = {
    "skimage.data": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "clock_motion.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "moon.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}
FORMATS = ("JPEG", "PNG", "WEBP")
SIDE = 480
FRAMES_PER_SECOND = 12
CODECS: Mapping[str, tuple[str, dict[str, str]]] = {
    # with its macroblock tree x264 makes other bytes of the same frames now and then
    "mp4": ("libx264", {"x264-params": "no-mbtree=1"}),
    "webm": ("libvpx", {}),
}


class MediaFile:
    """A file to upload, with the type that it really has."""

    def __init__(self, name: str, mime_type: str, content: bytes) -> None:
        self.name = name
        self.mime_type = mime_type
        self.content = content


def photographs() -> list[tuple[str, Image.Image]]:
    """Name and picture of every photograph, at most 480 pixels a side."""
    pictures = []
    for package, names in PHOTOGRAPHS.items():
        for name in names:
            with files(package).joinpath(name).open("rb") as file:
                picture = Image.open(file).convert("RGB")
            picture.thumbnail((SIDE, SIDE))
            pictures.append((Path(name).stem, picture))
    return pictures


def images(count: int) -> Iterator[MediaFile]:
    """That many different pictures: the photographs, then mirrored and cropped, in three formats."""
    sources = photographs()
    kinds = cycle(FORMATS)
    for number in range(count):
        name, picture = sources[number % len(sources)]
        round_number = number // len(sources)
        varied = ImageOps.mirror(picture) if round_number % 2 else picture
        border = 8 * (round_number // 2)
        kind = next(kinds)
        yield MediaFile(
            f"{name}-{round_number}.{kind.lower()}",
            f"image/{kind.lower()}",
            encoded(ImageOps.crop(varied, border), kind),
        )


def encoded(picture: Image.Image, kind: str) -> bytes:
    """The picture's bytes in a format of Pillow's."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def videos(count: int) -> Iterator[MediaFile]:
    """That many short videos, MP4 and WebM in turn."""
    sources = photographs()
    for number in range(count):
        name, picture = sources[number]
        container = ("mp4", "webm")[number % 2]
        content = video(picture, container, seconds=2 + number % 3)
        yield MediaFile(f"{name}.{container}", f"video/{container}", content)


def video(picture: Image.Image, container: str, seconds: int) -> bytes:
    """A video that pans over a picture; the same bytes every time."""
    buffer = io.BytesIO()
    codec, options = CODECS[container]
    width, height = 320, 240
    wide = ImageOps.fit(picture, (width * 2, height))
    frames = seconds * FRAMES_PER_SECOND
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream = cast(VideoStream, output.add_stream(codec, FRAMES_PER_SECOND, options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            left = width * number // frames
            frame = av.VideoFrame.from_ndarray(np.asarray(wide.crop((left, 0, left + width, height))))
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def from_folder(folder: Path) -> Iterator[MediaFile]:
    """Every image and video in a folder, by what its bytes say it is."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        kind = filetype.guess(path)
        if kind is not None and kind.mime.startswith(("image/", "video/")):
            yield MediaFile(path.name, kind.mime, path.read_bytes())
