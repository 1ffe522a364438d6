"""Files damaged at random: inspection has a verdict or a named reason for each, and none hurts the next."""

import os
from functools import partial
from random import Random

from mediagate.media_pool import MediaPool
from mediagate.scanners import Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.probe import probe
from mediagate.scanners.reasons import Reason
from mediagate.settings import MediaSettings
from tests import samples
from tests.object_server import object_server

SOUND = (
    (samples.jpeg(), "image/jpeg"),
    (samples.png(), "image/png"),
    (samples.gif(), "image/gif"),
    (samples.webp(), "image/webp"),
    (samples.apng(), "image/png"),
    (samples.mp4(1), "video/mp4"),
    (samples.webm(1), "video/webm"),
)
FILES = int(os.environ.get("DAMAGED_FILES", "200"))
SEED = int(os.environ.get("DAMAGED_SEED", "5"))


def damaged(content: bytes, random: Random) -> bytes:
    """A few bytes changed, a piece cut out, or a piece twice."""
    start = random.randrange(len(content))
    end = min(len(content), start + random.randrange(1, 64))
    match random.randrange(4):
        case 0:
            return content[:start] + random.randbytes(end - start) + content[end:]
        case 1:
            return (
                content[:start] + bytes([content[start] ^ (1 << random.randrange(8))]) + content[start + 1 :]
            )
        case 2:
            return content[:start] + content[end:]
        case _:
            return content[:end] + content[start:]


async def test_every_damaged_file_has_its_answer() -> None:
    random = Random(SEED)  # noqa: S311 - nothing is secret here
    settings = MediaSettings(scanner_processes=2, scanner_memory_bytes=2**30)
    inspect = partial(probe, MediaLimits.of(settings), True)
    with object_server() as server, MediaPool(settings) as pool:
        chosen = [random.choice(SOUND) for _ in range(FILES)]
        files = [*SOUND, *((damaged(content, random), mime_type) for content, mime_type in chosen)]
        items = [server.item(f"{number}", *file) for number, file in enumerate(files)]
        answers = await pool.map(inspect, items)
    assert all(isinstance(answer, Inspected) for answer in answers[: len(SOUND)])
    reasons = {answer.reason for answer in answers if isinstance(answer, Unscannable)}
    assert reasons >= {Reason.UNDECODABLE, Reason.NOT_MEDIA}
    assert Reason.DECODER_CRASHED not in reasons
