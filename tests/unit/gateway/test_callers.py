"""How long a verified token counts without being verified again."""

from gateway import callers
from gateway.callers import MOST_REMEMBERED, REMEMBERED_FOR, Caller, RememberedCallers

ALICE = Caller("alice", is_service=False)


class Clock:
    """A time that stands still until it is set."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def remembered(now: Clock, clock: Clock, life: float) -> RememberedCallers:
    known = RememberedCallers(now, clock)
    known.remember("token", ALICE, now() + life)
    return known


def test_a_token_is_forgotten_after_a_minute() -> None:
    now, clock = Clock(1e9), Clock(5)
    known = remembered(now, clock, life=3600)
    clock.seconds += REMEMBERED_FOR - 0.1
    assert known.caller_of("token") == ALICE
    clock.seconds += 0.1
    assert known.caller_of("token") is None


def test_a_clock_that_is_set_back_does_not_prolong_the_minute() -> None:
    now, clock = Clock(1e9), Clock(5)
    known = remembered(now, clock, life=3600)
    now.seconds -= 3600
    clock.seconds += REMEMBERED_FOR
    assert known.caller_of("token") is None


def test_a_token_does_not_outlive_its_expiry() -> None:
    now, clock = Clock(1e9), Clock(5)
    known = remembered(now, clock, life=2)
    now.seconds += 1.9
    assert known.caller_of("token") == ALICE
    now.seconds += 0.1
    assert known.caller_of("token") is None


def test_another_token_is_not_known() -> None:
    assert remembered(Clock(1e9), Clock(5), life=60).caller_of("token2") is None


def test_the_oldest_makes_room_and_nothing_of_a_token_is_kept() -> None:
    known = remembered(Clock(1e9), Clock(5), life=60)
    for number in range(MOST_REMEMBERED):
        known.remember(f"token-{number}", ALICE, 1e9 + 60)
    assert known.caller_of("token") is None
    assert known.caller_of("token-0") == ALICE
    assert len(known._callers) == MOST_REMEMBERED == callers.MOST_REMEMBERED
    assert "token" not in repr(known._callers)
