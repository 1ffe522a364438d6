"""The jars of Kafka and S3Proxy: locked in `jars.lock`, fetched once for all checkouts, always verified."""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK_FILE = Path(__file__).with_name("jars.lock")
LOCK_HEADER = (
    "# Coordinates and SHA-256 of every jar. Written by `python -m devstack lock`; do not edit by hand.\n"
)
# The "!" keeps the managed versions of a coordinate's own POM from ruling the others.
ROOTS = {
    "kafka": (
        "org.apache.kafka:kafka_2.13:4.3.1",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!",  # without it nothing is logged
    ),
    "s3proxy": ("org.gaul:s3proxy:4.1.0", "com.fasterxml.jackson.core:jackson-annotations:2.21"),
}
_DOWNLOADS_AT_ONCE = 6
_DOWNLOAD_ATTEMPTS = 3
_CACHE_LOCK_TIMEOUT = 600.0


@dataclass(frozen=True)
class Jar:
    """One locked jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, coordinates: str, sha256: str) -> "Jar":
        """Read `group:artifact:version`."""
        group, artifact, version = coordinates.split(":")
        return cls(group, artifact, version, sha256)

    @property
    def path(self) -> Path:
        """Where the jar lies in the cache."""
        return Path(
            *self.group.split("."), self.artifact, self.version, f"{self.artifact}-{self.version}.jar"
        )


def cache_directory() -> Path:
    """Return the folder of the jars in MEDIAGATE_CACHE, else in XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("MEDIAGATE_CACHE"):
        return Path(chosen).expanduser().absolute() / "jars"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mediagate" / "jars"


def locked(lock_file: Path = LOCK_FILE) -> dict[str, list[Jar]]:
    """Read the locked jars of each program."""
    try:
        programs = tomllib.loads(lock_file.read_text())
        return {name: [Jar.parse(*item) for item in jars.items()] for name, jars in programs.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DevstackError(f"{lock_file} cannot be read: {error}") from error


def class_path(program: str, lock_file: Path = LOCK_FILE) -> str:
    """Return the verified class path of a program; the jars must have been fetched."""
    cache = cache_directory()
    paths = []
    for jar in locked(lock_file)[program]:
        path = cache / jar.path
        if not path.exists():
            raise DevstackError(f"{path.name} is not in {cache}: run `python -m devstack fetch`")
        _verify(path, jar)
        paths.append(str(path))
    return ":".join(paths)


def fetch(progress: Callable[[str], None] = lambda _: None, lock_file: Path = LOCK_FILE) -> None:
    """Download the locked jars that the cache lacks; raise DevstackError if one cannot be had or differs."""
    cache = cache_directory()
    jars = {jar for program in locked(lock_file).values() for jar in program}
    if not _missing(cache, jars):
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DevstackError(f"{cache} cannot be made ({error.strerror}): set MEDIAGATE_CACHE") from error
    with _cache_lock(cache):
        if missing := _missing(cache, jars):  # else another start fetched them meanwhile
            progress(f"fetching {len(missing)} jars into {cache}")
            _download_all(missing, cache)


def lock(lock_file: Path = LOCK_FILE, programs: Mapping[str, tuple[str, ...]] = ROOTS) -> None:
    """Resolve the jars of these programs anew and write the lock file; for a change of versions."""
    with tempfile.TemporaryDirectory() as repository:
        context = _maven(Path(repository))
        sections = [_lock_section(context, name, roots) for name, roots in programs.items()]
    lock_file.write_text(LOCK_HEADER + "\n" + "\n".join(sections))


def _lock_section(context: "MavenContext", name: str, roots: tuple[str, ...]) -> str:
    dependencies = [context.create_dependency(root) for root in roots]
    for dependency in dependencies:
        dependency.scope = "compile"
    resolved, transitive = context.resolver.resolve(dependencies)
    wanted = [*resolved, *(item for item in transitive if item.scope in ("compile", "runtime"))]
    lines = []
    for item in wanted:
        if item.classifier or item.type != "jar":
            raise DevstackError(f"{item}: only plain jars can be locked")
        digest = _sha256(item.artifact.resolve())
        lines.append(f'"{item.groupId}:{item.artifactId}:{item.version}" = "{digest}"\n')
    return f"[{name}]\n" + "".join(sorted(lines))


def _maven(repository: Path) -> "MavenContext":
    try:
        from jgo.maven import MavenContext
    except ImportError:
        message = "jgo, which fetches the jars, is not installed: install the dependency group `devstack`"
        raise DevstackError(message) from None
    logging.getLogger("jgo").setLevel(logging.ERROR)
    return MavenContext(repo_cache=repository, timeout=60)


def _missing(cache: Path, jars: set[Jar]) -> list[Jar]:
    return sorted((jar for jar in jars if not (cache / jar.path).exists()), key=lambda jar: jar.path)


@contextmanager
def _cache_lock(cache: Path) -> Iterator[None]:
    deadline = time.monotonic() + _CACHE_LOCK_TIMEOUT
    with (cache / "lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DevstackError(f"{cache} is locked by another fetch for too long") from None
                time.sleep(0.2)
        yield


def _download_all(jars: list[Jar], cache: Path) -> None:
    incoming = cache / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # what a killed fetch left is incomplete
    context = _maven(incoming)
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        downloads = [pool.submit(_download, context, jar, cache) for jar in jars]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shutil.rmtree(incoming, ignore_errors=True)


def _download(context: "MavenContext", jar: Jar, cache: Path) -> None:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in range(1, _DOWNLOAD_ATTEMPTS + 1):
        try:
            arrived = artifact.resolve()
            break
        # requests' errors are OSErrors; jgo raises RuntimeError where a repository has no such file.
        except (OSError, RuntimeError) as error:
            if attempt == _DOWNLOAD_ATTEMPTS:
                reason = str(error).splitlines()[0]
                raise DevstackError(
                    f"{jar.artifact}-{jar.version}.jar cannot be fetched: {reason}"
                ) from error
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)
            time.sleep(attempt)
    _verify(arrived, jar)
    destination = cache / jar.path
    destination.parent.mkdir(parents=True, exist_ok=True)
    arrived.replace(destination)


def _verify(path: Path, jar: Jar) -> None:
    if _sha256(path) != jar.sha256:
        raise DevstackError(
            f"{path} does not have the SHA-256 of {LOCK_FILE.name}: remove the file and fetch again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
