"""The wall clock of a worker's processes, set by a test while they run; their monotonic clock stays true."""

from importlib.metadata import files
from pathlib import Path

AHEAD, BACK, RIGHT = 3600, -3600, 0
LIBRARY = "libfaketime.so.1"


class Clock:
    """Of every process that is started with its environment, and of their children."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(RIGHT)

    def environment(self) -> dict[str, str]:
        """What makes a process go by this clock."""
        (library,) = (file for file in files("libfaketime") or () if file.name == LIBRARY)
        return {
            "LD_PRELOAD": str(library.locate()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: int) -> None:
        """So many seconds off, from now on."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{offset:+d}")
        draft.replace(self._file)
