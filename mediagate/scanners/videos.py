"""Videos: opening within limits, sampling frames over the whole duration."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import BinaryIO

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from mediagate.events import Inspection
from mediagate.scanners.formats import Format
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.pictures import SCORED_SIDE
from mediagate.scanners.reasons import Reason, UndecidableError

OPEN_TIMEOUT = 30.0
DECODERS = frozenset({"h264", "hevc", "mpeg4", "vp8", "vp9", "libvpx", "libvpx-vp9", "libdav1d", "av1"})
BYTES_PER_PIXEL = 4
"""Of a decoded frame, with what decoding it takes."""
END_TOLERANCE = 1.0
"""Seconds by which the last frame may miss the declared end: sound is often a little longer."""
SKIPPING = frozenset({"h264", "hevc"})
"""Decoders that can leave out frames which no other frame refers to, and whose packets are a frame each."""
DECODED_BEFORE = 0.2
"""Seconds before a wanted moment in which no frame is left out."""


@dataclass(frozen=True, slots=True)
class Video:
    """An opened video; `duration` and `start` in seconds."""

    container: InputContainer
    stream: VideoStream
    duration: float
    start: float
    limits: MediaLimits


def inspect_video(file: BinaryIO, format_: Format, limits: MediaLimits) -> Inspection:
    """Dimensions after rotation and duration, once the first frame decodes and nothing follows the end."""
    with open_video(file, format_, limits) as video:
        _nothing_after_the_end(video)
        frame = FrameReader(video).at(0.0)
        width, height = frame.width, frame.height
        if frame.rotation % 180:
            width, height = height, width
        return Inspection(
            mime_type=format_.mime_type, width=width, height=height, duration=round(video.duration, 3)
        )


@contextmanager
def open_video(file: BinaryIO, format_: Format, limits: MediaLimits) -> Iterator[Video]:
    """The video with its one stream of pictures; raises UndecidableError where a limit is exceeded."""
    with av.open(
        file,
        mode="r",
        format=format_.parser,
        timeout=OPEN_TIMEOUT,
        options={"codec_whitelist": ",".join(sorted(DECODERS))},
    ) as container:
        stream = _only_stream(container)
        if stream.codec_context.name not in DECODERS:
            raise UndecidableError(Reason.UNSUPPORTED_CODEC)
        _check_size(stream.codec_context.width, stream.codec_context.height, limits.max_pixels)
        duration = _duration(container, stream)
        if duration > limits.max_duration:
            raise UndecidableError(Reason.TOO_LONG)
        if _frame_count(stream, duration) > limits.max_frames:
            raise UndecidableError(Reason.TOO_MANY_FRAMES)
        stream.codec_context.thread_count = 1
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        yield Video(container, stream, duration, start, limits)


def sample_frames(video: Video, count: int) -> Iterator[Image.Image]:
    """`count` frames from the first to the last, small and upright; all of them, or UndecidableError."""
    _nothing_after_the_end(video)
    previous, reader = None, FrameReader(video)
    for seconds in sample_times(video.duration, count):
        frame = reader.at(seconds)
        if frame.pts != previous:
            yield _small_upright(frame)
        previous = frame.pts


def sample_times(duration: float, count: int) -> list[float]:
    """`count` moments from the first frame to the last, in seconds."""
    if count == 1:
        return [duration / 2]
    return [duration * step / (count - 1) for step in range(count)]


def _only_stream(container: InputContainer) -> VideoStream:
    streams = [
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise UndecidableError(Reason.NO_VIDEO_STREAM)
    if len(streams) > 1:  # players choose for themselves: one could be scanned and another one seen
        raise UndecidableError(Reason.SEVERAL_VIDEO_STREAMS)
    return streams[0]


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width <= 0 or height <= 0:
        raise _unless_out_of_memory(Reason.NO_DIMENSIONS, max_pixels)
    if width * height > max_pixels:
        raise UndecidableError(Reason.TOO_MANY_PIXELS)


def _duration(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    else:
        duration = (container.duration or 0) / av.time_base
    if duration <= 0:
        raise UndecidableError(Reason.NO_DURATION)
    return duration


def _frame_count(stream: VideoStream, duration: float) -> float:
    # WebM declares no count; a rate that is wrong or missing is made good for by counting what is decoded.
    return stream.frames or duration * float(stream.average_rate or 0)


def _nothing_after_the_end(video: Video) -> None:
    # Players go by the packets: a header that says less would leave the rest unseen by every sample.
    _seek(video, video.duration)
    for packet in video.container.demux(video.stream):
        if packet.pts is None or packet.time_base is None:
            continue
        if float(packet.pts * packet.time_base) - video.start > video.duration + END_TOLERANCE:
            raise UndecidableError(Reason.DURATION_MISMATCH)


class FrameReader:
    """The frames shown at moments, none before the last; decodes on where seeking would not be shorter."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._frames: Iterator[VideoFrame] = iter(())
        self._shown: VideoFrame | None = None
        self._next: VideoFrame | None = None
        self._may_skip_before = 0.0
        self._last_skippable = -inf
        self._read_up_to: int | None = None
        """Decoding time of the last packet, in the stream's time base."""

    def at(self, seconds: float) -> VideoFrame:
        """The frame at that moment, decoded from the key frame before it; raises UndecidableError."""
        self._may_skip_before = seconds - DECODED_BEFORE
        try:
            if self._is_nearer_by_seeking(seconds):
                self._seek(seconds)
            frame = self._read(seconds)
            if _time(frame, self._video) < self._last_skippable:
                self._may_skip_before = -inf
                self._seek(seconds)
                frame = self._read(seconds)
        except av.FFmpegError as error:
            raise _missing(self._video) from error
        return _sound(frame, self._video)

    def _is_nearer_by_seeking(self, seconds: float) -> bool:
        if self._read_up_to is None:
            return True
        entries = self._video.stream.index_entries
        key_frame = entries.search_timestamp(_timestamp(self._video, seconds))
        return key_frame < 0 or entries[key_frame].timestamp > self._read_up_to

    def _seek(self, seconds: float) -> None:
        _seek(self._video, seconds)
        self._read_up_to, self._last_skippable, self._shown = None, -inf, None
        self._frames = self._decoded()
        self._next = next(self._frames, None)

    def _read(self, seconds: float) -> VideoFrame:
        while self._next is not None and (self._shown is None or _time(self._next, self._video) <= seconds):
            self._shown, self._next = self._next, next(self._frames, None)
        if self._shown is None:
            raise _missing(self._video)
        if self._next is None and _time(self._shown, self._video) < seconds - END_TOLERANCE:
            raise _missing(self._video)
        return self._shown

    def _decoded(self) -> Iterator[VideoFrame]:
        limits, frames, skippable = self._video.limits, 0, 0
        for packet in self._video.container.demux(self._video.stream):
            if packet.dts is not None:
                self._read_up_to = packet.dts
            skippable += self._lets_skip(packet)
            for frame in packet.decode():
                frames += 1
                _check_size(frame.width, frame.height, limits.max_pixels)
                yield frame
            if max(frames, skippable) > limits.max_frames:
                raise UndecidableError(Reason.TOO_MANY_FRAMES)

    def _lets_skip(self, packet: "Packet[VideoStream]") -> bool:
        """Has the decoder leave the packet's frame out where nothing refers to it and it is not wanted."""
        context = self._video.stream.codec_context
        skips = False
        if context.name in SKIPPING and packet.pts is not None and packet.time_base is not None:
            shown_at = float(packet.pts * packet.time_base) - self._video.start
            skips = shown_at < self._may_skip_before
            if skips:
                self._last_skippable = max(self._last_skippable, shown_at)
        context.skip_frame = "NONREF" if skips else "DEFAULT"
        return skips


def _seek(video: Video, seconds: float) -> None:
    video.container.seek(_timestamp(video, seconds), stream=video.stream)


def _timestamp(video: Video, seconds: float) -> int:
    time_base = video.stream.time_base
    if time_base is None:
        raise UndecidableError(Reason.NO_DURATION)
    return int((video.start + seconds) / time_base)


def _time(frame: VideoFrame, video: Video) -> float:
    if frame.pts is None or frame.time_base is None:
        raise UndecidableError(Reason.MISSING_FRAMES)
    return float(frame.pts * frame.time_base) - video.start


def _sound(frame: VideoFrame, video: Video) -> VideoFrame:
    if frame.is_corrupt:
        raise _missing(video)
    return frame


def _missing(video: Video) -> UndecidableError:
    context = video.stream.codec_context
    return _unless_out_of_memory(Reason.MISSING_FRAMES, context.width * context.height)


def _unless_out_of_memory(reason: Reason, pixels: int) -> UndecidableError:
    # FFmpeg calls data invalid that it had no memory for: whether another frame would fit tells which it was.
    try:
        mmap.mmap(-1, max(1, pixels * BYTES_PER_PIXEL)).close()
    except OSError:
        return UndecidableError(Reason.OUT_OF_MEMORY)
    return UndecidableError(reason)


def _small_upright(frame: VideoFrame) -> Image.Image:
    scale = min(1.0, SCORED_SIDE / min(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    image: Image.Image = frame.to_image(width=width, height=height)  # type: ignore[no-untyped-call]
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
