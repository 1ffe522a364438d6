"""A scanner behind its breaker: what it answers when the scanner fails, refuses, or is not trusted."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest

from mediagate.errors import RefusedError, StopError, TransientError
from mediagate.media import MediaType
from mediagate.metrics import BREAKER, DISTRUSTED
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.testing.scanner import HARMLESS, ScriptedScanner
from streams.breakers import GuardedScanner

LONG, AT_ONCE = timedelta(hours=1), timedelta(microseconds=1)
DEADLINE = 5.0


def items(*names: str) -> list[ScanItem]:
    return [
        ScanItem(name, MediaType.IMAGE, "image/png", f"https://s3.invalid/{name}", '"e"', 1) for name in names
    ]


def down(times: int) -> list[TransientError]:
    return [TransientError("unavailable")] * times


class Refusing(ScriptedScanner):
    """Refuses every batch that holds a poison item."""

    async def scan(self, batch: Sequence[ScanItem]) -> Sequence[ScanResult]:
        results = await super().scan(batch)
        if any("poison" in item.job_id for item in batch):
            raise RefusedError("invalid argument")
        return results


async def test_results_pass_through() -> None:
    guarded = GuardedScanner(ScriptedScanner({"b": Unscannable("undecodable")}), 3, LONG)
    assert list(await guarded.scan(items("a", "b"))) == [HARMLESS, Unscannable("undecodable")]
    assert guarded.successes == 1


async def test_a_failure_is_a_result_for_every_item() -> None:
    guarded = GuardedScanner(ScriptedScanner(failures=down(1)), 3, LONG)
    assert list(await guarded.scan(items("a", "b"))) == [Unavailable("unavailable")] * 2
    assert guarded.failure == "unavailable"
    assert guarded.successes == 0


async def test_after_enough_failures_in_a_row_the_scanner_is_left_alone() -> None:
    scanner = ScriptedScanner(failures=down(2))
    guarded = GuardedScanner(scanner, 2, LONG)
    for _ in range(4):
        (result,) = await guarded.scan(items("a"))
        assert isinstance(result, Unavailable)
    assert result == Unavailable("scripted is left alone after: unavailable")
    assert len(scanner.batches) == 2
    assert BREAKER.labels("scripted")._value.get() == 2


async def test_an_answer_in_between_forgives_earlier_failures() -> None:
    scanner = ScriptedScanner(failures=down(1))
    guarded = GuardedScanner(scanner, 2, LONG)
    for _ in range(2):
        await guarded.scan(items("a"))
        await guarded.scan(items("a"))
        scanner.failures.extend(down(1))
    assert list(await guarded.scan(items("a"))) == [Unavailable("unavailable")]
    assert list(await guarded.scan(items("a"))) == [HARMLESS]


async def test_a_wall_clock_that_is_set_back_leaves_nobody_alone_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded = GuardedScanner(ScriptedScanner(failures=down(1)), 1, LONG)
    await guarded.scan(items("a"))
    assert isinstance((await guarded.scan(items("a")))[0], Unavailable)
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)

    assert list(await guarded.scan(items("a"))) == [HARMLESS]
    assert BREAKER.labels("scripted")._value.get() == 0


async def test_one_probe_closes_the_breaker() -> None:
    scanner = ScriptedScanner(failures=down(1))
    guarded = GuardedScanner(scanner, 1, AT_ONCE)
    await guarded.scan(items("a"))
    assert list(await guarded.scan(items("a"))) == [HARMLESS]
    assert BREAKER.labels("scripted")._value.get() == 0


async def test_while_one_probes_the_others_wait() -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    async def until_open(batch: Sequence[ScanItem]) -> None:
        begun.set()
        await gate.wait()

    scanner = ScriptedScanner(failures=down(2), latency=until_open)
    guarded = GuardedScanner(scanner, 1, AT_ONCE)
    gate.set()
    await guarded.scan(items("a"))
    gate.clear()
    begun.clear()
    probing = [asyncio.create_task(guarded.scan(items(name))) for name in ("b", "c")]
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
    assert len(scanner.batches) == 2
    gate.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*probing)
    assert [batch[0].job_id for batch in scanner.batches][:2] == ["a", "b"]


async def test_the_probe_comes_before_the_batch_and_may_fail_in_its_stead() -> None:
    scanner = ScriptedScanner(failures=down(1))
    guarded = GuardedScanner(scanner, 1, AT_ONCE)
    proofs = [TransientError("still down"), None]

    async def prove() -> None:
        if (failure := proofs.pop(0)) is not None:
            raise failure

    guarded.probe = prove
    await guarded.scan(items("a"))
    assert list(await guarded.scan(items("a"))) == [Unavailable("still down")]
    assert len(scanner.batches) == 1
    assert list(await guarded.scan(items("a"))) == [HARMLESS]
    assert proofs == []


@pytest.mark.parametrize("count", [1, 2, 5, 16])
@pytest.mark.parametrize("poisoned", [0, -1])
async def test_bisection_finds_the_item_that_is_refused(count: int, poisoned: int) -> None:
    names = [f"item{number}" for number in range(count)]
    names[poisoned] = "poison"
    results = await GuardedScanner(Refusing(), 1, LONG).scan(items(*names))
    assert [isinstance(result, Scanned) for result in results] == [name != "poison" for name in names]
    assert results[poisoned] == Unscannable("scanner_refused")


async def test_a_part_that_fails_leaves_the_other_parts_results() -> None:
    scanner = Refusing()
    guarded = GuardedScanner(scanner, 1, LONG)

    async def fail_second_half(batch: Sequence[ScanItem]) -> None:
        if [item.job_id for item in batch] == ["c", "d"]:
            raise TransientError("unavailable")

    scanner._latency = fail_second_half
    results = await guarded.scan(items("a", "poison", "c", "d"))
    assert results == [HARMLESS, Unscannable("scanner_refused"), *[Unavailable("unavailable")] * 2]


async def test_a_scanner_that_loses_items_stops_the_process() -> None:
    class Short(ScriptedScanner):
        async def scan(self, batch: Sequence[ScanItem]) -> Sequence[ScanResult]:
            return (await super().scan(batch))[1:]

    with pytest.raises(StopError, match="1 results for 2 items"):
        await GuardedScanner(Short(), 3, LONG).scan(items("a", "b"))


@pytest.mark.parametrize(
    "scores", [{}, *({"nsfw": 0.1, "adult": score} for score in (float("nan"), float("inf"), -0.1, 1.1))]
)
async def test_what_is_no_score_is_no_result(scores: dict[str, float]) -> None:
    scanner = ScriptedScanner(default=Scanned(scores))
    assert list(await GuardedScanner(scanner, 3, LONG).scan(items("a"))) == [Unscannable("invalid_score")]


async def test_a_distrusted_scanner_is_not_asked_until_it_is_trusted_again() -> None:
    scanner = ScriptedScanner()
    guarded = GuardedScanner(scanner, 3, LONG)
    guarded.distrust("calls its canary safe")
    assert list(await guarded.scan(items("a"))) == [Unavailable("calls its canary safe")]
    assert (guarded.distrusted, guarded.failure) == (True, "calls its canary safe")
    assert await guarded.model_version() is None
    assert DISTRUSTED.labels("scripted")._value.get() == 1
    guarded.distrust(None)
    assert list(await guarded.scan(items("a"))) == [HARMLESS]
    assert len(scanner.batches) == 1


async def test_a_model_version_that_nobody_knows_counts_as_a_failure() -> None:
    class Unknown(ScriptedScanner):
        async def model_version(self) -> str:
            raise TransientError("no answer")

    guarded = GuardedScanner(Unknown(), 1, LONG)
    assert await guarded.model_version() is None
    assert list(await guarded.scan(items("a"))) == [Unavailable("scripted is left alone after: no answer")]
