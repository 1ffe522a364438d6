"""An S3 whose disk can be filled to the brim."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devstack.s3proxy import S3Proxy
from tests.faults.servers import limit_files

SIZE = "8m"
PAGE = bytes(4096)
UNSHARE = "unshare"
ALONE = ("--user", "--map-root-user", "--mount")
MOUNT = f'mount -t tmpfs -o size={SIZE} small "$0" && exec "$@"'
PROBE = "import os, sys; open(sys.argv[1], 'w').close(); os.setxattr(sys.argv[1], 'user.probe', b'1')"
PROBE_TIMEOUT = 10.0


def may_mount(folder: Path) -> bool:
    """Whether this machine lets us have a tmpfs of our own that keeps S3Proxy's attributes (Linux 6.6)."""
    if shutil.which(UNSHARE) is None:
        return False
    probe = _on_small_disk(folder, sys.executable, "-c", PROBE, str(folder / "probe"))
    return subprocess.run(probe, capture_output=True, timeout=PROBE_TIMEOUT, check=False).returncode == 0


class LimitedS3(S3Proxy):
    """Where nothing may be mounted: its process may not write any more, which fails as a full disk does."""

    name = "limited-s3"

    def fill(self) -> None:
        """No byte finds room."""
        limit_files(self, "0")

    def clear(self) -> None:
        """There is room."""
        limit_files(self, "unlimited")


class SmallS3(S3Proxy):
    """Mounts a tmpfs that only its own process sees."""

    name = "small-s3"

    def command(self) -> Sequence[str | Path]:
        """Return the command line that mounts the disk, then becomes the server."""
        return _on_small_disk(self._objects, *super().command())

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


def _on_small_disk(folder: Path, *command: str | Path) -> list[str | Path]:
    return [shutil.which(UNSHARE) or UNSHARE, *ALONE, "sh", "-c", MOUNT, folder, *command]
