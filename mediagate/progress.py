"""Signs of life of long work: whoever ends a step of it says so, and whoever watches it is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_tell: ContextVar[Callable[[], None]] = ContextVar("tell", default=lambda: None)


def step_ended() -> None:
    """Says that a step of the work at hand has ended, well or not."""
    _tell.get()()


@contextmanager
def telling(tell: Callable[[], None]) -> Iterator[None]:
    """Has `tell` called at each step that ends in this block, and in the tasks that it starts."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)
