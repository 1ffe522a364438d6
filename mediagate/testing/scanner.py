"""A scanner whose answers a test decides."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from mediagate.errors import MediagateError, ObjectChangedError
from mediagate.remote_file import RemoteFile, SizeMismatchError
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unscannable
from mediagate.scanners.reasons import Reason

HARMLESS = Scanned({"nsfw": 0.01})

Rule = Callable[[ScanItem], ScanResult | None]


async def _at_once(items: Sequence[ScanItem]) -> None:
    return None


class ScriptedScanner:
    """A Scanner that answers by `job_id`, else by SHA-256, else by `rule`, else `default`.

    `verdicts` are keyed by job_id or by hex SHA-256; only with `reads` are objects really read, so that
    hashes are known and changed or unreachable objects fail as they do with a real scanner.
    `latency` is awaited before each batch; each of `failures` makes one batch fail.
    """

    def __init__(
        self,
        verdicts: Mapping[str, ScanResult] | None = None,
        *,
        rule: Rule = lambda item: None,
        default: ScanResult = HARMLESS,
        latency: Callable[[Sequence[ScanItem]], Awaitable[None]] = _at_once,
        failures: Sequence[MediagateError] = (),
        reads: bool = False,
        name: str = "scripted",
        model_version: str = "1",
    ) -> None:
        self.name = name
        self._model_version = model_version
        self.batches: list[Sequence[ScanItem]] = []
        self.failures = deque(failures)
        self._verdicts = verdicts or {}
        self._rule = rule
        self._default = default
        self._latency = latency
        self._reads = reads

    async def model_version(self) -> str:
        """What the test said."""
        return self._model_version

    async def check(self) -> None:
        """Raises the next failure without taking it."""
        if self.failures:
            raise self.failures[0]

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One scripted result per item, in the items' order."""
        self.batches.append(tuple(items))
        await self._latency(items)
        if self.failures:
            raise self.failures.popleft()
        return [await self._judge(item) for item in items]

    async def _judge(self, item: ScanItem) -> ScanResult:
        if not self._reads:
            return self._answer(item, item.job_id)
        try:
            sha256 = await asyncio.to_thread(_sha256, item)
        except SizeMismatchError:
            return Unscannable(Reason.SIZE_MISMATCH.value)
        except ObjectChangedError:
            return Unscannable(Reason.OBJECT_CHANGED.value)
        return self._answer(item, item.job_id, sha256)

    def _answer(self, item: ScanItem, *keys: str) -> ScanResult:
        for key in keys:
            if key in self._verdicts:
                return self._verdicts[key]
        return self._rule(item) or self._default


def _sha256(item: ScanItem) -> str:
    with RemoteFile(item.url, item.etag, item.size) as file:
        return hashlib.sha256(file.read()).hexdigest()
