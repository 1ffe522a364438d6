"""What the demo uploads, how, and where each must end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle
from pathlib import Path

from devstack.demo.media import MediaFile, encoded, from_folder, images, photographs, videos
from mediagate.jobs import TERMINAL, State
from mediagate.scanners.opening import UNSAFE_PICTURE

LINKED_TO_TYPES = ("post", "opportunity", "profile_picture", "project", "story")
IMAGES = 60
VIDEOS = 6


class Flow(StrEnum):
    """What the uploader does."""

    WHOLE = "whole"
    NEVER_COMPLETED = "never completed"
    NEVER_UPLOADED = "never uploaded"
    OTHER_BODY = "other body"


@dataclass(frozen=True)
class Case:
    """One upload: `mime_type` is what is declared, `ends` where it may end."""

    title: str
    file: MediaFile
    mime_type: str
    linked_to_type: str
    flow: Flow = Flow.WHOLE
    ends: frozenset[State] = field(default=frozenset({State.PUBLISHED}))


def cases(folder: Path | None) -> Iterator[Case]:
    """The everyday uploads, or those of a folder; then everything that may go wrong."""
    kinds = cycle(LINKED_TO_TYPES)
    if folder is None:
        for file in [*images(IMAGES), *videos(VIDEOS)]:
            yield Case("picture" if "image" in file.mime_type else "video", file, file.mime_type, next(kinds))
    else:
        for file in from_folder(folder):
            yield Case("your own", file, file.mime_type, next(kinds), ends=TERMINAL - {State.EXPIRED})
    yield from special_cases()


def special_cases() -> Iterator[Case]:
    """Uploads that are unsafe, damaged, mislabelled, repeated or abandoned."""
    _, picture = photographs()[0]
    jpeg = MediaFile("same.jpg", "image/jpeg", encoded(picture, "JPEG"))
    smaller = MediaFile("same.jpg", "image/jpeg", encoded(picture.reduce(2), "JPEG"))
    png = MediaFile("really-a-png.jpg", "image/png", encoded(picture, "PNG"))
    video = next(videos(1))
    truncated = MediaFile("truncated.mp4", video.mime_type, video.content[: len(video.content) * 2 // 3])
    html = MediaFile("page.png", "text/html", b"<!doctype html><script>alert('hello')</script>" * 20)
    unsafe = MediaFile("unsafe.jpg", "image/jpeg", UNSAFE_PICTURE.read_bytes())
    unscannable, expired = frozenset({State.UNSCANNABLE}), frozenset({State.EXPIRED})

    yield Case("unsafe picture", unsafe, unsafe.mime_type, "post", ends=frozenset({State.QUARANTINED}))
    yield Case("same bytes twice", jpeg, jpeg.mime_type, "project")
    yield Case("same bytes twice", jpeg, jpeg.mime_type, "story")
    yield Case("same name twice", jpeg, jpeg.mime_type, "post")
    yield Case("same name twice", smaller, smaller.mime_type, "post")
    yield Case("PNG declared as JPEG", png, "image/jpeg", "post", ends=unscannable)
    yield Case("HTML declared as PNG", html, "image/png", "post", ends=unscannable)
    yield Case("truncated video", truncated, truncated.mime_type, "post", ends=unscannable)
    yield Case("never completed", jpeg, jpeg.mime_type, "opportunity", Flow.NEVER_COMPLETED)
    yield Case("never uploaded", jpeg, jpeg.mime_type, "opportunity", Flow.NEVER_UPLOADED, expired)
    yield Case("other body", jpeg, jpeg.mime_type, "opportunity", Flow.OTHER_BODY, expired)


GARBAGE = (b"\xff\xfenot a record", b"{}", b"[" * 10_000)
"""Published straight to the topic: each must become a dead letter."""
