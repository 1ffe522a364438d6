"""Which scanner a batch goes to; pure."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ScannerName(StrEnum):
    """Every scanner there is, by the name that decisions and settings call it."""

    VISION = "vision"
    MODAL = "modal"
    LOCAL = "local"


class Route(BaseModel):
    """Where batches of at most `max_batch` items go, and where to while that scanner is away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scanner: ScannerName
    max_batch: int | None = Field(default=None, gt=0)
    fallback: ScannerName | None = None

    @model_validator(mode="after")
    def _falls_back_to_another(self) -> "Route":
        if self.fallback is self.scanner:
            raise ValueError(f"fallback: {self.scanner} falls back to itself")
        return self

    @property
    def scanners(self) -> tuple[ScannerName, ...]:
        """In the order in which they are asked."""
        return (self.scanner,) if self.fallback is None else (self.scanner, self.fallback)


def routed_scanners(routes: Sequence[Route]) -> frozenset[ScannerName]:
    """Every scanner that one of the routes names."""
    return frozenset(name for route in routes for name in route.scanners)


def choose(routes: Sequence[Route], items: int) -> Route:
    """The first route that takes a batch of that size; the last one where none does."""
    return next(
        (route for route in routes if route.max_batch is None or items <= route.max_batch), routes[-1]
    )


def restricted(routes: Sequence[Route], allowed: frozenset[ScannerName] | None) -> list[Route]:
    """The routes with allowed scanners alone; a fallback takes the place of one that is not."""
    if allowed is None:
        return list(routes)
    kept = []
    for route in routes:
        names = [name for name in route.scanners if name in allowed]
        if names:
            kept.append(Route(scanner=names[0], max_batch=route.max_batch, fallback=(*names[1:], None)[0]))
    return kept
