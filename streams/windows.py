"""Tumbling windows as pure values: closed by count, by time since their first item, or by bytes."""

from collections.abc import Iterable
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

    def filled(self, waiting: Iterable[tuple[Item, float, int]]) -> "Window[Item]":
        """The window with as many as fit of the items that wait, each with its arrival and its bytes."""
        items, total, opened_at = list(self.items), self.bytes, self.opened_at
        most_items, most_bytes = self.limits.max_items, self.limits.max_bytes
        for item, now, size in waiting:
            if items and (len(items) >= most_items or (most_bytes is not None and total + size > most_bytes)):
                break
            opened_at = opened_at if items else now
            items.append(item)
            total += size
        return replace(self, items=tuple(items), bytes=total, opened_at=opened_at)

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
