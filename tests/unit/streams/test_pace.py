"""How far ahead of the workers a sweep goes."""

from collections.abc import Callable

from streams.pace import LEAST, QUICK, Pace


class Workers:
    """Take so long for all that there is."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.asked_after: list[int] = []
        self.sent = 0

    async def read_up(self) -> bool:
        self.now += self.seconds
        self.asked_after.append(self.sent)
        self.sent = 0
        return True


async def send(workers: Workers, pace: Pace, batches: int, batch: int = LEAST) -> None:
    for _ in range(batches):
        workers.sent += batch
        assert await pace.sent(batch)


def pace_of(workers: Workers) -> Pace:
    clock: Callable[[], float] = lambda: workers.now  # noqa: E731
    return Pace(workers.read_up, clock)


async def test_slow_workers_have_few_owed_events_before_live_ones() -> None:
    workers = Workers(QUICK)
    await send(workers, pace_of(workers), 4)
    assert workers.asked_after == [LEAST] * 4


async def test_quick_workers_get_more_until_they_are_quick_no_longer() -> None:
    workers = Workers(QUICK / 2)
    pace = pace_of(workers)
    await send(workers, pace, 1 + 2 + 4)
    workers.seconds = 2 * QUICK
    await send(workers, pace, 8 + 4 + 2 + 1 + 1)
    assert workers.asked_after == [each * LEAST for each in (1, 2, 4, 8, 4, 2, 1, 1)]


async def test_what_is_less_than_a_batch_asks_nobody() -> None:
    workers = Workers(QUICK)
    await send(workers, pace_of(workers), 1, LEAST - 1)
    assert workers.asked_after == []


async def test_workers_that_do_not_get_to_it_end_the_sweep() -> None:
    async def read_up() -> bool:
        return False

    assert not await Pace(read_up, lambda: 0.0).sent(LEAST)
