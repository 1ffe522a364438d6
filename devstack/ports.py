"""Which ports the services listen on."""

import secrets
import socket
from collections.abc import Container

from devstack.errors import DevstackError

HOST = "127.0.0.1"
# Below the ports that the system gives to outgoing connections: none of those can take a service's port
# while it restarts, nor connect to itself there.
_RANGE = range(20_000, 30_000)
_ATTEMPTS = 100


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
            server.listen(1)
        except OSError:
            return False
        return True


def choose(preferred: int | None, taken: Container[int]) -> int:
    """Return the preferred port if it is free and not taken, else some port that is."""
    candidates = [] if preferred is None else [preferred]
    candidates += (secrets.choice(_RANGE) for _ in range(_ATTEMPTS))
    for port in candidates:
        if port not in taken and is_free(port):
            return port
    raise DevstackError(f"no free port found on {HOST} between {_RANGE.start} and {_RANGE.stop - 1}")
