"""Makes scanners by name; what a scanner needs is imported only when it is asked for."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from mediagate.errors import ConfigurationError
from mediagate.media_pool import MediaPool
from mediagate.scanners import Scanner
from mediagate.scanners.routes import ScannerName
from mediagate.settings import StreamsSettings

UNSAFE_PICTURE = Path(__file__).with_name("canary.jpg")
"""An abstract picture of coloured blobs, optimised until the local model called it unsafe."""


@asynccontextmanager
async def open_scanner(
    name: ScannerName, settings: StreamsSettings, pool: MediaPool
) -> AsyncIterator[Scanner]:
    """A scanner, ready to be asked; raises ConfigurationError where its packages are not installed."""
    make = _maker(name)
    async with make(settings, pool) as scanner:
        yield scanner


def _maker(name: ScannerName) -> Callable[[StreamsSettings, MediaPool], AbstractAsyncContextManager[Scanner]]:
    try:
        match name:
            case ScannerName.LOCAL:
                from mediagate.scanners.local import LocalScanner

                return lambda settings, pool: nullcontext(LocalScanner(pool, settings))
            case ScannerName.VISION:
                from mediagate.scanners.vision import VisionScanner

                return lambda settings, pool: VisionScanner(settings, pool)
            case ScannerName.MODAL:
                from mediagate.scanners.modal import ModalScanner

                return lambda settings, pool: ModalScanner(settings)
    except ImportError as error:
        raise ConfigurationError(
            f"{name} scanner: {error.name} is not installed; install mediagate[{name}]"
        ) from error


def canary_picture(name: ScannerName, settings: StreamsSettings) -> Path | None:
    """The picture that the scanner must not call safe; None where none is known."""
    shipped = None if name is ScannerName.VISION else UNSAFE_PICTURE
    return settings.canary_files.get(name, shipped)
