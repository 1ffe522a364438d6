"""What a command of the command line answered."""

import subprocess
from collections.abc import Awaitable, Callable

Ended = Awaitable["subprocess.CompletedProcess[str]"]
Command = Callable[..., Ended]


async def refused(ended: Ended) -> str:
    """The one line of a command that did nothing."""
    finished = await ended
    assert (finished.returncode, finished.stdout) == (1, "")
    (line,) = finished.stderr.splitlines()
    return line.removeprefix("mediagate: ")


def lines(text: str) -> list[str]:
    """Lines with their runs of blanks as one."""
    return [" ".join(line.split()) for line in text.splitlines()]
