"""Pictures that a scanner must not call safe, scanned at an interval: one that does is not asked any more."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from PIL import Image

from mediagate import metrics
from mediagate.errors import ConfigurationError, MediagateError, TransientError
from mediagate.events import Outcome
from mediagate.media import MediaType
from mediagate.policy import Policy, decide_by
from mediagate.scanners import ScanItem, Scanned, Unavailable
from mediagate.storage import ObjectStore
from streams.breakers import GuardedScanner

FOLDER = "canary"
URL_LIFE = timedelta(minutes=15)
WHILE_DISTRUSTED = timedelta(minutes=1)
"""Time between two scans while a scanner is not trusted."""

log = structlog.get_logger("streams.canary")


@dataclass(frozen=True, slots=True)
class Picture:
    """A canary as it is stored; the key is its content's."""

    body: bytes
    mime_type: str

    @property
    def key(self) -> str:
        """Where it stands in the temporary bucket."""
        return f"{FOLDER}/{hashlib.sha256(self.body).hexdigest()}"


def load_picture(path: Path) -> Picture:
    """The picture in a file; raises ConfigurationError where it is none."""
    try:
        with Image.open(path) as image:
            return Picture(path.read_bytes(), str(image.get_format_mimetype()))
    except OSError as error:
        raise ConfigurationError(f"canary {path}: {error.strerror or 'is not a picture'}") from error


class Canary:
    """Scans each scanner's picture, past the verdict store: what counts is what it says now.

    `forget` drops what a scanner said within a time: nothing of a liar's is known.
    """

    def __init__(
        self,
        pictures: Mapping[GuardedScanner, Picture],
        store: ObjectStore,
        bucket: str,
        policy: Policy,
        interval: timedelta,
        forget: Callable[[str, timedelta], Awaitable[None]],
    ) -> None:
        self._pictures = pictures
        self._store = store
        self._bucket = bucket
        self._policy = policy
        self._interval = interval
        self._forget = forget
        for scanner in pictures:
            scanner.probe = partial(self.prove, scanner)

    async def run(self) -> None:
        """Scans at once, then at the interval, for ever; sooner while a scanner is not trusted."""
        while True:
            trusted = await asyncio.gather(*map(self._is_trusted, self._pictures))
            wait = self._interval if all(trusted) else min(self._interval, WHILE_DISTRUSTED)
            await asyncio.sleep(wait.total_seconds())

    async def prove(self, scanner: GuardedScanner) -> None:
        """Has the scanner judge its picture; raises TransientError where it does not answer."""
        (result,) = await scanner.scanner.scan([await self._item(self._pictures[scanner])])
        if isinstance(result, Unavailable):
            raise TransientError(result.reason)
        metrics.CANARY_SCANS.labels(scanner.name).inc()
        if isinstance(result, Scanned) and self._is_safe(result):
            scanner.distrust(f"{scanner.name} calls its canary safe: {dict(result.scores)}")
            # The canary before this one may have been another worker's, or one of before a restart.
            await self._forget(scanner.name, 2 * self._interval)
        else:
            scanner.distrust(None)

    def _is_safe(self, result: Scanned) -> bool:
        return decide_by(self._policy.default, result.scores).outcome is Outcome.APPROVED

    async def _is_trusted(self, scanner: GuardedScanner) -> bool:
        try:
            await self.prove(scanner)
        except MediagateError as error:
            log.warning("canary not scanned", scanner=scanner.name, error=str(error))
        return not scanner.distrusted

    async def _item(self, picture: Picture) -> ScanItem:
        head = await self._store.head(self._bucket, picture.key)
        if head is None:
            await self._store.write(self._bucket, picture.key, picture.body, picture.mime_type)
            head = await self._store.head(self._bucket, picture.key)
        if head is None:
            raise TransientError(f"S3: {picture.key} is gone as soon as it is written")
        urls = self._store.presign_get(self._bucket, picture.key, URL_LIFE)
        return ScanItem(
            job_id=picture.key,
            media_type=MediaType.IMAGE,
            mime_type=picture.mime_type,
            url=urls.url,
            etag=head.etag,
            size=head.size,
            public_url=urls.public_url,
        )
