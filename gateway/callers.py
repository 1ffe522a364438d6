"""Who calls, and whom a token named a moment ago."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

REMEMBERED_FOR = 60.0
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a valid token names."""

    subject: str
    is_service: bool

    def may_act_for(self, user_id: str) -> bool:
        """Whether what belongs to the user is the caller's to see and change."""
        return self.is_service or self.subject == user_id


class RememberedCallers:
    """Callers by their verified tokens, each until its token expires and never longer than a minute.

    Of a token nothing is kept but its digest. `now` is the time of day, which `expires_at` is compared with;
    `clock` never goes back.
    """

    def __init__(
        self, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._clock = clock
        self._callers: dict[bytes, tuple[Caller, float, float]] = {}

    def caller_of(self, token: str) -> Caller | None:
        """Whom the token named, where that still counts."""
        known = self._callers.get(_digest(token))
        if known is None:
            return None
        caller, expires_at, forgotten_at = known
        return caller if self._now() < expires_at and self._clock() < forgotten_at else None

    def remember(self, token: str, caller: Caller, expires_at: float) -> None:
        """Keeps whom a token that was verified just now names; the oldest makes room."""
        digest = _digest(token)
        self._callers.pop(digest, None)
        if len(self._callers) >= MOST_REMEMBERED:
            del self._callers[next(iter(self._callers))]
        self._callers[digest] = caller, expires_at, self._clock() + REMEMBERED_FOR


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
