"""How much of an animation or a video a model looks at."""

from dataclasses import dataclass

from mediagate.scanners.limits import MediaLimits
from mediagate.settings import MediaSettings

RULES_VERSION = 1
"""Goes up whenever other frames, or the same ones otherwise prepared, would be scored."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Frames per item, and the limits within which it is decoded."""

    limits: MediaLimits
    animation_frames: int
    video_frames: int

    @classmethod
    def of(cls, settings: MediaSettings) -> "Sampling":
        """As the settings say."""
        return cls(MediaLimits.of(settings), settings.animation_frames, settings.video_frames)

    @property
    def version(self) -> str:
        """Differs wherever the same bytes could get another score."""
        return f"r{RULES_VERSION}-a{self.animation_frames}-v{self.video_frames}"
