"""How much of an animation or a video the local scanner looks at."""

from dataclasses import dataclass

from mediagate.scanners.videos import MediaLimits

RULES_VERSION = 1
"""Goes up whenever other frames, or the same ones otherwise prepared, would be scored."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Frames per item, and the limits within which it is decoded."""

    limits: MediaLimits
    animation_frames: int
    video_frames: int

    @property
    def version(self) -> str:
        """Differs wherever the same bytes could get another score."""
        return f"r{RULES_VERSION}-a{self.animation_frames}-v{self.video_frames}"
