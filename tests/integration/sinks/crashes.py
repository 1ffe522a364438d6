"""Collaborators that crash after so many steps."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from sinks.effects import Effects

Crashing = Callable[[int], Effects]
"""Effects that crash after so many steps."""


class Crash(Exception):  # noqa: N818 - not an error that anything may handle
    """The process is gone."""


class CrashAfter:
    """Lets collaborators take so many steps together; the step is done, its caller never learns of it."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def wrap(self, collaborator: Any) -> Any:
        return _Wrapped(collaborator, self)

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class _Wrapped:
    def __init__(self, collaborator: Any, crash: CrashAfter) -> None:
        self._collaborator = collaborator
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._collaborator, name)
        assert iscoroutinefunction(method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = await method(*args, **kwargs)
            self._crash.step()
            return result

        return call
