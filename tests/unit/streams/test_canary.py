"""Canaries: a scanner that calls a known unsafe picture safe is not asked any more."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from mediagate.errors import ConfigurationError, TransientError
from mediagate.policy import load_policy
from mediagate.scanners import Scanned, Unavailable, Unscannable
from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.testing.scanner import HARMLESS, ScriptedScanner
from mediagate.testing.storage import InMemoryObjectStore
from streams.breakers import GuardedScanner
from streams.canary import Canary, load_picture

POLICY = load_policy(Path(__file__).parents[3] / "policy.yaml")
PICTURE = load_picture(UNSAFE_PICTURE)
UNSAFE = Scanned({"nsfw": 0.92})
BUCKET = "media-temp"
DEADLINE = 5.0


class Aviary:
    """A scanner and its canary."""

    def __init__(self, scanner: ScriptedScanner, failures: int = 3, pause: float = 3600.0) -> None:
        self.scanner = scanner
        self.store = InMemoryObjectStore([BUCKET])
        self.guarded = GuardedScanner(scanner, failures, timedelta(seconds=pause))
        self.forgotten: list[tuple[str, timedelta]] = []
        self.canary = Canary(
            {self.guarded: PICTURE}, self.store, BUCKET, POLICY, timedelta(hours=1), self._forget
        )

    async def _forget(self, scanner: str, age: timedelta) -> None:
        self.forgotten.append((scanner, age))


def answering(*results: Scanned | Unscannable | Unavailable) -> ScriptedScanner:
    answers = list(results)
    return ScriptedScanner(name="local", rule=lambda item: answers.pop(0))


async def test_a_canary_that_is_called_unsafe_leaves_the_scanner_trusted() -> None:
    aviary = Aviary(answering(UNSAFE))
    await aviary.canary.prove(aviary.guarded)
    assert not aviary.guarded.distrusted
    assert aviary.forgotten == []
    (batch,) = aviary.scanner.batches
    (item,) = batch
    assert aviary.store.objects[BUCKET, item.job_id].body == UNSAFE_PICTURE.read_bytes()
    assert (item.size, item.mime_type) == (len(UNSAFE_PICTURE.read_bytes()), "image/jpeg")


async def test_a_canary_that_is_called_safe_closes_the_scanners_route_until_it_is_not() -> None:
    aviary = Aviary(answering(HARMLESS, UNSAFE))
    await aviary.canary.prove(aviary.guarded)
    assert aviary.guarded.failure == "local calls its canary safe: {'nsfw': 0.01}"
    assert aviary.forgotten == [("local", timedelta(hours=2))]
    assert all(isinstance(each, Unavailable) for each in await aviary.guarded.scan(aviary.scanner.batches[0]))
    await aviary.canary.prove(aviary.guarded)
    assert not aviary.guarded.distrusted


@pytest.mark.parametrize(
    "result", [Scanned({"nsfw": 0.7}), Scanned({"unheard_of": 0.0}), Unscannable("empty")]
)
async def test_a_canary_that_would_not_be_approved_is_not_safe(result: Scanned | Unscannable) -> None:
    aviary = Aviary(answering(result))
    await aviary.canary.prove(aviary.guarded)
    assert not aviary.guarded.distrusted


async def test_a_scanner_that_does_not_answer_is_as_trusted_as_before() -> None:
    aviary = Aviary(answering(HARMLESS, Unavailable("unavailable")))
    await aviary.canary.prove(aviary.guarded)
    with pytest.raises(TransientError, match="unavailable"):
        await aviary.canary.prove(aviary.guarded)
    assert aviary.guarded.distrusted


async def test_the_canary_is_the_probe_of_a_scanner_that_was_left_alone() -> None:
    aviary = Aviary(answering(Unavailable("down"), UNSAFE, HARMLESS), failures=1, pause=1e-6)
    await aviary.canary._item(PICTURE)
    item = await aviary.canary._item(PICTURE)
    assert list(await aviary.guarded.scan([item])) == [Unavailable("down")]
    assert list(await aviary.guarded.scan([item])) == [HARMLESS]
    assert aviary.guarded.successes == 2


async def test_a_probe_that_comes_back_safe_lets_nothing_through() -> None:
    aviary = Aviary(answering(Unavailable("down"), HARMLESS, HARMLESS), failures=1, pause=1e-6)
    item = await aviary.canary._item(PICTURE)
    await aviary.guarded.scan([item])
    (result,) = await aviary.guarded.scan([item])
    assert isinstance(result, Unavailable)
    assert aviary.guarded.distrusted


async def test_it_is_scanned_at_start_and_sooner_while_the_scanner_is_distrusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr("streams.canary.asyncio.sleep", sleep)
    aviary = Aviary(answering(UNSAFE, HARMLESS, UNSAFE))
    with pytest.raises(asyncio.CancelledError):
        await aviary.canary.run()
    assert waits == [3600.0, 60.0, 3600.0]


async def test_an_object_store_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    aviary = Aviary(answering(UNSAFE))
    aviary.store.available = False
    assert await aviary.canary._is_trusted(aviary.guarded)


@pytest.mark.parametrize(("content", "named"), [(None, "No such file"), (b"text", "is not a picture")])
def test_a_canary_that_is_no_picture_is_named(tmp_path: Path, content: bytes | None, named: str) -> None:
    path = tmp_path / "canary.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=named):
        load_picture(path)
