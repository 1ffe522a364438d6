"""Shares of what happened last; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Recent(Generic[Kind]):
    """The last outcomes, at most `size`."""

    size: int
    outcomes: tuple[Kind, ...] = ()

    def followed_by(self, outcomes: Sequence[Kind]) -> "Recent[Kind]":
        """The same, these being the newest."""
        return Recent(self.size, (*self.outcomes, *outcomes)[-self.size :])

    def unusual(self, outcome: Kind, band: tuple[float, float]) -> float | None:
        """The share of an outcome where it lies outside the band; None inside, or before `size` are known."""
        if len(self.outcomes) < self.size:
            return None
        share = self.outcomes.count(outcome) / self.size
        return None if band[0] <= share <= band[1] else share
