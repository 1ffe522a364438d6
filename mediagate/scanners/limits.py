"""Within which limits media is decoded."""

from dataclasses import dataclass

from mediagate.settings import MediaSettings


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """The largest picture or frame, the most frames, the longest video in seconds."""

    max_pixels: int
    max_frames: int
    max_duration: float

    @classmethod
    def of(cls, settings: MediaSettings) -> "MediaLimits":
        """As the settings say."""
        return cls(settings.max_pixels, settings.max_frames, settings.max_duration.total_seconds())
