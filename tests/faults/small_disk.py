"""An S3 whose objects lie on a disk of a few MiB, which can be filled to the brim."""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from devstack.errors import DevstackError
from devstack.s3proxy import S3Proxy

SIZE = "8m"
PAGE = bytes(4096)


class SmallS3(S3Proxy):
    """Mounts a tmpfs that only its own process sees; it needs user name spaces, and Linux 6.6."""

    name = "small-s3"

    def command(self) -> Sequence[str | Path]:
        """Return the command line that mounts the disk, then becomes the server."""
        unshare = shutil.which("unshare")
        if unshare is None:
            raise DevstackError("unshare, of util-linux, is not installed")
        alone = (unshare, "--user", "--map-root-user", "--mount")
        mount = f'mount -t tmpfs -o size={SIZE} small "$0" && exec "$@"'
        return [*alone, "sh", "-c", mount, self._objects, *super().command()]

    def fill(self) -> None:
        """A ballast takes all the room that is left."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(PAGE)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def clear(self) -> None:
        """Throws the ballast away."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self.pid}/root{self._objects}/ballast")
