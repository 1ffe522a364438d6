"""What a probe finds out; apart from it, for the decoders it imports are large."""

from dataclasses import dataclass

from mediagate.events import Inspection


@dataclass(frozen=True, slots=True)
class Inspected:
    """What parsing showed, and where asked for the PDQ hashes of a picture or of an animation's first frame.

    In all eight orientations; none where there is too little to see.
    """

    inspection: Inspection
    pdq: tuple[str, ...] = ()
