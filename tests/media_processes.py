"""What tests have the media pool's processes do: they import it by name."""

import os
import resource
import signal
import sys
import time
from pathlib import Path

from mediagate.errors import TransientError
from mediagate.scanners import Unscannable


def double(number: int) -> int | Unscannable:
    return number * 2


def crash_unless_even(number: int) -> int | Unscannable:
    if number % 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def crash_once(marker: str) -> str | Unscannable:
    """Ends its process unless the marker file is there already."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return marker
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


def hang_if_odd(number: int) -> int | Unscannable:
    """Hangs as C code does: it answers no signal."""
    if number % 2:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        time.sleep(3600)
    return number


def say_and_hang(number: int) -> int | Unscannable:
    """Writes its process id to the standard output that it shares with its parent, and hangs."""
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(3600)
    return number


def unreadable(number: int) -> int | Unscannable:
    raise TransientError(f"object store: {number}")


def address_space(number: int) -> int | Unscannable:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def imported(name: str) -> bool | Unscannable:
    return name in sys.modules


def own_process(number: int) -> tuple[int, int] | Unscannable:
    """Process id and process group."""
    return os.getpid(), os.getpgid(0)


def leave_memory(size: int) -> bool:
    """Lowers this process's limit to what it uses and `size` bytes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, hard))
    return True
