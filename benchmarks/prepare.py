"""What a peer needs before it runs: an environment of its own, or the jars of a program."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from devstack import jars

HERE = Path(__file__).parent
BUILT = HERE.parent / ".benchmarks"
"""Made by the first run; not in the repository."""
BUILD_DEADLINE = 900.0


def python_of(folder: Path) -> Path:
    """The interpreter that has the folder's requirements.lock; made on first use."""
    lock = folder / "requirements.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    home = BUILT / f"{folder.name}-{digest}"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        _run(sys.executable, "-m", "venv", "--clear", home)
        _run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", lock)
        (home / "complete").touch()
    return python


def java_classes(folder: Path, class_path: str) -> Path:
    """Where the folder's Java sources are compiled to; needs a JDK."""
    sources = sorted(folder.glob("*.java"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    home = BUILT / f"{folder.name}-{digest}"
    if not (home / "complete").exists():
        _run("javac", "--release", "17", "-cp", class_path, "-d", home, *sources)
        (home / "complete").touch()
    return home


def node_of(folder: Path) -> Path:
    """A copy of the folder beside the packages of its package-lock.json; needs npm."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    home = BUILT / f"{folder.name}-{digest}"
    if not (home / "complete").exists():
        home.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copy(path, home)
        _run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", home)
        (home / "complete").touch()
    return home


def jars_of(folder: Path, program: str) -> str:
    """The class path of the folder's jars.lock."""
    lock = folder / "jars.lock"
    jars.fetch(lock_file=lock)
    return jars.class_path(program, lock)


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=BUILD_DEADLINE)
