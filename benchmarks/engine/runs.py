"""What a measured process tells: when its work began and ended; it is then left to be stopped."""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

LOOKED_AT_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """Times are `time.time()`."""

    start: float
    end: float
    done: int

    def tell(self) -> None:
        """Writes the file that RUN names, and waits for the end of the process."""
        path = Path(os.environ["RUN"])
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.rename(path)
        signal.pause()


def wait_for(path: Path, deadline: float) -> Run:
    """What was told; raises TimeoutError after `deadline` seconds."""
    until = time.monotonic() + deadline
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"nothing was told in {deadline:.0f} s")
        time.sleep(LOOKED_AT_EVERY)
    return Run(**json.loads(path.read_text()))
