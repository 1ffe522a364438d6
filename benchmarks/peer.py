"""One who does the work of an area: how it is started, and what it promises less than Mediagate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Peer:
    """`prepare` makes the command; `weaker` is what it does not do, empty where it does all of it."""

    name: str
    prepare: Callable[[], Command]
    weaker: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
