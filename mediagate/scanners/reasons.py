"""Why nobody could judge an item: every reason that Mediagate's own inspection and scanners give."""

from enum import StrEnum


class Reason(StrEnum):
    """The `reason` of an Unscannable."""

    EMPTY = "empty"
    NOT_MEDIA = "not_media"
    UNSUPPORTED_TYPE = "unsupported_type"
    MIME_TYPE_MISMATCH = "mime_type_mismatch"
    UNDECODABLE = "undecodable"
    NO_DIMENSIONS = "no_dimensions"
    TOO_MANY_PIXELS = "too_many_pixels"
    NO_VIDEO_STREAM = "no_video_stream"
    SEVERAL_VIDEO_STREAMS = "several_video_streams"
    UNSUPPORTED_CODEC = "unsupported_codec"
    NO_DURATION = "no_duration"
    DURATION_MISMATCH = "duration_mismatch"
    TOO_LONG = "too_long"
    TOO_MANY_FRAMES = "too_many_frames"
    MISSING_FRAMES = "missing_frames"
    OBJECT_CHANGED = "object_changed"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    OUT_OF_MEMORY = "out_of_memory"
    DECODER_CRASHED = "decoder_crashed"
    SCAN_TIMEOUT = "scan_timeout"
    SCANNER_REFUSED = "scanner_refused"
    SCANNER_ERROR = "scanner_error"
    INVALID_SCORE = "invalid_score"
    MISSING_RESULT = "missing_result"
    UNKNOWN_LIKELIHOOD = "unknown_likelihood"
    NO_ALLOWED_SCANNER = "no_allowed_scanner"


OF_ONE_OBJECT = frozenset({Reason.OBJECT_CHANGED, Reason.SIZE_MISMATCH, Reason.CHECKSUM_MISMATCH})
"""Reasons that say nothing about another object with the same bytes."""


class UndecidableError(Exception):
    """Unwinds a decoder; `mediagate.scanners.decoding.judge` makes an Unscannable of it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
