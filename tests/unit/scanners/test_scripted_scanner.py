import asyncio
from collections.abc import Sequence

import pytest

from mediagate.errors import TransientError
from mediagate.media import MediaType
from mediagate.scanners import ScanItem, Scanned, Unscannable
from mediagate.testing.scanner import HARMLESS, ScriptedScanner


def item(job_id: str) -> ScanItem:
    return ScanItem(job_id, MediaType.IMAGE, "image/jpeg", f"http://unused/{job_id}", '"etag"', 1)


async def test_answers_by_job_then_by_rule_then_by_default() -> None:
    scanner = ScriptedScanner(
        {"a": Scanned({"nsfw": 0.9})},
        rule=lambda each: Unscannable("undecodable") if each.url.endswith("b") else None,
    )

    results = await scanner.scan([item("a"), item("b"), item("c")])

    assert results == [Scanned({"nsfw": 0.9}), Unscannable("undecodable"), HARMLESS]


async def test_failures_come_once_each_and_batches_are_kept() -> None:
    scanner = ScriptedScanner(failures=[TransientError("down")])

    with pytest.raises(TransientError, match="down"):
        await scanner.scan([item("a")])

    assert await scanner.scan([item("a")]) == [HARMLESS]
    assert [[each.job_id for each in batch] for batch in scanner.batches] == [["a"], ["a"]]


async def test_latency_is_the_tests_own() -> None:
    gate = asyncio.Event()

    async def until_open(items: Sequence[ScanItem]) -> None:
        await gate.wait()

    scanning = asyncio.create_task(ScriptedScanner(latency=until_open).scan([item("a")]))
    await asyncio.sleep(0)
    assert not scanning.done()

    gate.set()
    assert await scanning == [HARMLESS]
