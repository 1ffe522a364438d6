"""Small media made at test time; nothing here is copied from anywhere, and nothing is explicit."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
GIF_SCRIPT = b"GIF89a<script>alert(1)</script>" + b" " * 64
ORIENTATION = 0x0112
MILLISECOND = Fraction(1, 1000)


def picture(width: int = 64, height: int = 48, hue: int = 90) -> Image.Image:
    """A gradient with a disc on it."""
    across = np.linspace(0, 255, width, dtype=np.uint8)
    down = np.linspace(0, 255, height, dtype=np.uint8)
    channels = (
        np.tile(across, (height, 1)),
        np.tile(down[:, None], (1, width)),
        np.full((height, width), hue),
    )
    image = Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), fill="white")
    return image


def jpeg(width: int = 64, height: int = 48, orientation: int | None = None, quality: int = 90) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    return saved(picture(width, height), "JPEG", quality=quality, exif=exif)


def turned_jpeg(image: Image.Image) -> bytes:
    """Stored on its side, with the EXIF orientation that puts it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def cmyk_jpeg() -> bytes:
    return saved(picture().convert("CMYK"), "JPEG")


def png(width: int = 64, height: int = 48) -> bytes:
    return saved(picture(width, height), "PNG")


def png_16_bit(level: int = 20_000, size: int = 64) -> bytes:
    """Grey in 16 bits a pixel."""
    return saved(Image.fromarray(np.full((size, size), level, dtype=np.uint16)), "PNG")


def palette_png() -> bytes:
    """A palette of which one colour is transparent."""
    return saved(picture().quantize(16), "PNG", transparency=0)


def gif(frames: int = 5) -> bytes:
    return _animation("GIF", frames)


def webp(frames: int = 5) -> bytes:
    return _animation("WEBP", frames)


def apng(frames: int = 5) -> bytes:
    return _animation("PNG", frames)


def animation_with(unusual: Image.Image, position: int, frames: int, kind: str = "WEBP") -> bytes:
    """An animation of plain frames with one that is not."""
    images = [Image.new("RGB", unusual.size, (index, 120, 120)) for index in range(frames)]
    images[position] = unusual
    return saved(images[0], kind, save_all=True, append_images=images[1:], duration=100, quality=95)


def bomb_png(width: int = 100_000, height: int = 100_000) -> bytes:
    """A few bytes that declare billions of pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def mp4(seconds: int = 2, faststart: bool = False) -> bytes:
    return video("mp4", "libx264", seconds, faststart=faststart)


def quicktime(seconds: int = 2) -> bytes:
    return video("mov", "libx264", seconds)


def webm(seconds: int = 2) -> bytes:
    return video("webm", "libvpx", seconds)


def webm_of_a_false_rate(frames: int) -> bytes:
    """A WebM that claims one frame a second and has a hundred."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as output:
        stream = _add_stream(output, "libvpx", 1, (64, 48))
        stream.codec_context.time_base = MILLISECOND
        for index in range(frames):
            frame = _frame(picture(hue=index % 256))
            frame.pts, frame.time_base = index * 10, MILLISECOND
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def mkv() -> bytes:
    return video("matroska", "libvpx", 1)


def two_videos() -> bytes:
    """An MP4 with two streams of pictures."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        streams = [_add_stream(output, "libx264", 10, (64, 48)) for _ in range(2)]
        for stream in streams:
            for hue in range(10):
                output.mux(stream.encode(_frame(picture(hue=hue))))
            output.mux(stream.encode(None))
    return buffer.getvalue()


def sound() -> bytes:
    """An MP4 without pictures."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        assert isinstance(stream, AudioStream)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        output.mux(stream.encode(silence))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def video(
    container: str,
    codec: str,
    seconds: int,
    width: int = 64,
    height: int = 48,
    rate: int = 10,
    still: Image.Image | None = None,
    still_from: int = 0,
    faststart: bool = False,
) -> bytes:
    """A moving gradient; from second `still_from` on, `still` instead. A key frame at the start alone."""
    options = {"movflags": "faststart"} if faststart else {}
    images = [picture(width, height, index * 5 % 256) for index in range(seconds * rate)]
    if still is not None:
        images[still_from * rate :] = [still.resize((width, height))] * (len(images) - still_from * rate)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"  # faststart reads back what it wrote
        _encode(path, container, codec, options, rate, images)
        return path.read_bytes()


def _encode(
    path: Path, container: str, codec: str, options: dict[str, str], rate: int, images: list[Image.Image]
) -> None:
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = _add_stream(output, codec, rate, images[0].size)
        for image in images:
            output.mux(stream.encode(_frame(image)))
        output.mux(stream.encode(None))


def _frame(image: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return frame


def _add_stream(output: OutputContainer, codec: str, rate: int, size: tuple[int, int]) -> VideoStream:
    stream = output.add_stream(codec, rate=rate, options={"g": "1000"})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return stream


def shortened_header(mp4_bytes: bytes, divisor: int = 10) -> bytes:
    """The same MP4, its headers claiming a fraction of the duration."""
    changed = bytearray(mp4_bytes)
    for box in (b"mvhd", b"mdhd"):
        # version and flags, creation, modification, timescale, then the duration: 4 bytes each
        start = changed.index(box) + 4 + 16
        duration = int.from_bytes(changed[start : start + 4], "big")
        changed[start : start + 4] = (duration // divisor).to_bytes(4, "big")
    return bytes(changed)


def _animation(kind: str, frames: int) -> bytes:
    images = [picture(hue=40 * index) for index in range(frames)]
    return saved(images[0], kind, save_all=True, append_images=images[1:], duration=100)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
