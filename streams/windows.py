"""Tumbling windows as pure values: closed by count, by time since their first item, or by bytes."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Trigger(StrEnum):
    """What closed a window."""

    COUNT = "count"
    TIME = "time"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """When a window closes; `max_wait` in seconds after its first item."""

    max_items: int
    max_wait: float
    max_bytes: int | None = None


@dataclass(frozen=True)
class Window(Generic[Item]):
    """Items in order of arrival. Times are seconds on any clock, as long as it is always the same one."""

    limits: WindowLimits
    items: tuple[Item, ...] = ()
    bytes: int = 0
    opened_at: float = 0.0

    def fits(self, size: int) -> bool:
        """Whether an item of that many bytes may still be added; an empty window takes any."""
        if not self.items:
            return True
        within_bytes = self.limits.max_bytes is None or self.bytes + size <= self.limits.max_bytes
        return within_bytes and len(self.items) < self.limits.max_items

    def add(self, item: Item, now: float, size: int = 0) -> "Window[Item]":
        """The window with one more item; raises ValueError where it does not fit."""
        if not self.fits(size):
            raise ValueError("the window is full")
        opened_at = self.opened_at if self.items else now
        return replace(self, items=(*self.items, item), bytes=self.bytes + size, opened_at=opened_at)

    def deadline(self) -> float | None:
        """When the window closes whatever it holds; None while it is empty."""
        return self.opened_at + self.limits.max_wait if self.items else None

    def due(self, now: float) -> Trigger | None:
        """Why the window must close now; None while it may go on filling."""
        if len(self.items) >= self.limits.max_items:
            return Trigger.COUNT
        if self.limits.max_bytes is not None and self.bytes >= self.limits.max_bytes:
            return Trigger.BYTES
        deadline = self.deadline()
        return Trigger.TIME if deadline is not None and now >= deadline else None
