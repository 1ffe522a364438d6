"""Who judges what: known bytes, routes, fallbacks, and items that only ever fail."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from mediagate.database import connect
from mediagate.errors import RefusedError, TransientError
from mediagate.events import Outcome
from mediagate.policy import Policy
from mediagate.scanners import ScanItem, Scanned, Unavailable, Unscannable
from mediagate.scanners.routes import Route, ScannerName
from mediagate.testing.scanner import HARMLESS, ScriptedScanner
from streams.panel import STRIKES_ALLOWED
from streams.verdicts import Verdicts
from tests.faults.proxy import Mode, Proxy
from tests.integration.streams.scene import Scene
from tests.uploads import NOW

VISION, MODAL, LOCAL = ScannerName.VISION, ScannerName.MODAL, ScannerName.LOCAL
REFERENCE = [Route(scanner=VISION, max_batch=16), Route(scanner=MODAL)]
LONG = timedelta(hours=1)
DEADLINE = 20.0


def scanner(name: ScannerName, **options: Any) -> ScriptedScanner:
    return ScriptedScanner(name=name.value, **options)


def scanned_by(*scanners: ScriptedScanner) -> list[list[int]]:
    """The sizes of the batches that each was given."""
    return [[len(batch) for batch in each.batches] for each in scanners]


@pytest.mark.parametrize(("uploads", "given"), [(1, [[1], []]), (16, [[16], []]), (17, [[], [17]])])
async def test_a_batch_goes_where_its_size_says(scene: Scene, uploads: int, given: list[list[int]]) -> None:
    vision, modal = scanner(VISION), scanner(MODAL)
    await scene.outcomes(
        scene.scan(vision, modal, routes=REFERENCE), *(scene.upload() for _ in range(uploads))
    )
    assert scanned_by(vision, modal) == given


async def test_of_fifty_equal_uploads_one_is_scanned(scene: Scene) -> None:
    vision, modal = scanner(VISION), scanner(MODAL)
    uploads = [scene.upload(b"the same") for _ in range(50)]
    outcomes = await scene.outcomes(scene.scan(vision, modal, routes=REFERENCE), *uploads)
    assert outcomes == [Outcome.APPROVED] * 50
    assert scanned_by(vision, modal) == [[1], []]


async def test_known_bytes_are_not_scanned_again_not_even_by_another_worker(scene: Scene) -> None:
    first, second = scanner(LOCAL, default=Scanned({"nsfw": 0.9})), scanner(LOCAL)
    await scene.outcomes(scene.scan(first), scene.upload(b"bytes"))
    (decided,) = await scene.decisions(scene.scan(second), scene.upload(b"bytes"))
    assert (decided.outcome, decided.scores) == (Outcome.REJECTED, {"nsfw": 0.9})
    assert (decided.scanner, decided.model_version) == ("local", "1")
    assert second.batches == []


async def test_a_changed_model_scans_again(scene: Scene) -> None:
    newer = scanner(LOCAL, model_version="2")
    await scene.outcomes(scene.scan(scanner(LOCAL)), scene.upload(b"bytes"))
    (decided,) = await scene.decisions(scene.scan(newer), scene.upload(b"bytes"))
    assert decided.model_version == "2"
    assert scanned_by(newer) == [[1]]


@pytest.mark.usefixtures("no_backoff")
async def test_a_model_that_changes_while_it_scans_scans_again(scene: Scene) -> None:
    local = scanner(LOCAL)

    async def deploy(batch: Sequence[ScanItem]) -> None:
        local._model_version = "2"

    local._latency = deploy
    (decided,) = await scene.decisions(scene.scan(local), scene.upload(b"bytes"))

    assert decided.model_version == "2"
    assert scanned_by(local) == [[1, 1]]
    assert [row["model_version"] for row in await scene.pool.fetch("select * from verdicts")] == ["2"]


async def test_what_was_forgotten_is_scanned_again(scene: Scene) -> None:
    liar, mended = scanner(LOCAL), scanner(LOCAL, default=Scanned({"nsfw": 0.9}))
    await scene.outcomes(scene.scan(liar, scanner(MODAL)), scene.upload(b"bytes"))
    await scene.pool.execute(
        "insert into verdicts values ('old', 'local', '1', '{}', $1)", NOW - timedelta(hours=3)
    )
    await scene.pool.execute("insert into verdicts values ('other', 'modal', '1', '{}', $1)", NOW)

    await scene.verdicts().forget("local", timedelta(hours=2))

    assert await scene.outcomes(scene.scan(mended), scene.upload(b"bytes")) == [Outcome.REJECTED]
    left = await scene.pool.fetch("select sha256 from verdicts where sha256 in ('old', 'other')")
    assert len(left) == 2


async def test_another_scanners_verdict_is_no_answer(scene: Scene) -> None:
    modal = scanner(MODAL)
    await scene.outcomes(scene.scan(scanner(LOCAL)), scene.upload(b"bytes"))
    await scene.outcomes(scene.scan(modal), scene.upload(b"bytes"))
    assert scanned_by(modal) == [[1]]


async def test_a_verdict_of_any_routed_scanner_counts_and_the_first_routes_most(scene: Scene) -> None:
    vision, modal = scanner(VISION, default=Scanned({"adult": 0.1})), scanner(MODAL)
    await scene.outcomes(scene.scan(modal), scene.upload(b"a"), scene.upload(b"b"))
    await scene.outcomes(scene.scan(vision), scene.upload(b"b"))
    decisions = await scene.decisions(
        scene.scan(vision, modal, routes=REFERENCE), scene.upload(b"a"), scene.upload(b"b")
    )
    assert [decided.scanner for decided in decisions] == ["modal", "vision"]
    assert scanned_by(vision, modal) == [[1], [2]]


async def test_only_what_the_object_store_verified_is_known(scene: Scene) -> None:
    local = scanner(LOCAL)
    scan = scene.scan(local)
    uploads = [scene.upload(b"bytes", verified=False) for _ in range(2)]
    await scene.outcomes(scan, *uploads)
    await scene.outcomes(scan, scene.upload(b"bytes"))
    assert scanned_by(local) == [[2, 1]]
    assert await scene.pool.fetchval("select count(*) from verdicts") == 1


async def test_what_nobody_could_judge_is_not_remembered(scene: Scene) -> None:
    local = scanner(LOCAL, default=Unscannable("scan_timeout"))
    scan = scene.scan(local)
    for _ in range(2):
        await scene.outcomes(scan, scene.upload(b"bytes"))
    assert scanned_by(local) == [[1, 1]]


async def test_a_changed_object_says_nothing_of_others_with_the_same_bytes(scene: Scene) -> None:
    changed, *others = uploads = [scene.upload(b"bytes") for _ in range(4)]
    local = scanner(LOCAL, verdicts={changed.subject: Unscannable("object_changed")})
    outcomes = await scene.outcomes(scene.scan(local), *uploads)
    assert outcomes == [Outcome.UNSCANNABLE, *[Outcome.APPROVED] * len(others)]
    assert scanned_by(local) == [[1, 1]]


async def test_two_workers_scan_equal_bytes_once(scene: Scene) -> None:
    gate, begun, other_begun = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def until_open(batch: Sequence[ScanItem]) -> None:
        begun.set()
        await gate.wait()

    async def say(batch: Sequence[ScanItem]) -> None:
        other_begun.set()

    busy, waiting = scanner(LOCAL, latency=until_open), scanner(LOCAL, latency=say)
    first = asyncio.create_task(scene.outcomes(scene.scan(busy), scene.upload(b"bytes")))
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        second = asyncio.create_task(
            scene.outcomes(scene.scan(waiting), scene.upload(b"bytes"), scene.upload(b"others"))
        )
        await other_begun.wait()
        gate.set()
        assert await first == [Outcome.APPROVED]
        assert await second == [Outcome.APPROVED] * 2
    assert scanned_by(busy, waiting) == [[1], [1]]


async def test_a_worker_that_hangs_is_not_waited_for_for_ever(scene: Scene) -> None:
    local = scanner(LOCAL)
    async with scene.verdicts().claimed("local", [scene.upload(b"bytes").data.sha256]) as ours:
        assert len(ours) == 1
        scan = scene.scan(local)
        scan._panel._verdicts = scene.verdicts(patience=0.01)
        assert await scene.outcomes(scan, scene.upload(b"bytes")) == [Outcome.APPROVED]
    assert scanned_by(local) == [[1]]


async def test_a_claim_ends_with_its_scan(scene: Scene) -> None:
    verdicts, sha256 = scene.verdicts(), "0" * 64
    for _ in range(2):
        async with verdicts.claimed("local", [sha256]) as ours:
            assert ours == {sha256}
            async with scene.verdicts().claimed("local", [sha256]) as theirs:
                assert theirs == frozenset()
    assert await verdicts.until_free("local", sha256)


async def test_what_was_judged_holds_though_the_claims_session_is_lost(
    scene: Scene, database_url: str
) -> None:
    sha256, server = "0" * 64, urlsplit(database_url)
    assert server.hostname and server.port
    async with Proxy(server.hostname, server.port).running() as proxy:
        pool = await connect(database_url.replace(f":{server.port}/", f":{proxy.port}/"), 1)
        async with Verdicts(pool, now=lambda: NOW).claimed("local", [sha256]) as ours:
            proxy.set(Mode.LOSE_REPLIES)
        assert (set(ours), proxy.lost_replies) == ({sha256}, 1)
        assert await scene.verdicts().until_free("local", sha256)
        pool.terminate()


@pytest.mark.usefixtures("no_backoff")
async def test_the_fallback_judges_while_the_scanner_is_away(scene: Scene) -> None:
    vision, local = scanner(VISION, failures=[TransientError("unavailable")] * 9), scanner(LOCAL)
    scan = scene.scan(vision, local, routes=[Route(scanner=VISION, fallback=LOCAL)], failures=2, pause=LONG)
    for _ in range(3):
        (decided,) = await scene.decisions(scan, scene.upload())
        assert (decided.outcome, decided.scanner) == (Outcome.APPROVED, "local")
    assert len(vision.batches) == 2, "left alone after two failures"
    assert scan.not_ready is None


@pytest.mark.usefixtures("no_backoff")
async def test_what_the_fallback_said_is_known_when_it_is_asked_again(scene: Scene) -> None:
    vision, local = scanner(VISION, failures=[TransientError("unavailable")] * 9), scanner(LOCAL)
    scan = scene.scan(vision, local, routes=[Route(scanner=VISION, fallback=LOCAL)], failures=9)
    for _ in range(2):
        await scene.outcomes(scan, scene.upload(b"bytes"))
    assert scanned_by(vision, local) == [[1, 1], [1]]


@pytest.mark.usefixtures("no_backoff")
async def test_without_a_fallback_the_window_waits_and_keeps_what_it_has(scene: Scene) -> None:
    known, failing = scene.upload(), scene.upload()
    answers = [Unavailable("unavailable"), Unavailable("unavailable"), HARMLESS]
    local = scanner(LOCAL, rule=lambda item: answers.pop(0) if item.job_id == failing.subject else None)
    assert await scene.outcomes(scene.scan(local), known, failing) == [Outcome.APPROVED] * 2
    assert scanned_by(local) == [[2, 1, 1]]


@pytest.mark.usefixtures("no_backoff")
async def test_unverified_bytes_too_are_paid_for_once(scene: Scene) -> None:
    known, failing = scene.upload(verified=False), scene.upload(verified=False)
    answers = [Unavailable("unavailable"), HARMLESS]
    local = scanner(LOCAL, rule=lambda item: answers.pop(0) if item.job_id == failing.subject else None)
    assert await scene.outcomes(scene.scan(local), known, failing) == [Outcome.APPROVED] * 2
    assert scanned_by(local) == [[2, 1]]


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("busy", [LOCAL, VISION])
async def test_an_item_that_fails_while_others_are_judged_is_at_fault_itself(
    scene: Scene, busy: ScannerName
) -> None:
    routes = [Route(scanner=VISION, fallback=LOCAL)]
    scanners = [scanner(name, default=Unavailable("internal")) for name in (VISION, LOCAL)]
    scan = scene.scan(*scanners, routes=routes, failures=1000)

    async def judge_others(batch: Sequence[ScanItem]) -> None:
        scan._panel._scanners[busy].successes += 1  # as the other media type's windows and canaries do

    scanners[0]._latency = judge_others
    (decided,) = await scene.decisions(scan, scene.upload())

    assert (decided.outcome, decided.reasons) == (Outcome.UNSCANNABLE, ("scanner_error",))
    assert len(scanners[0].batches) == STRIKES_ALLOWED + 1


@pytest.mark.usefixtures("no_backoff")
async def test_while_nobody_is_judged_no_item_is_at_fault(scene: Scene) -> None:
    local = scanner(LOCAL, failures=[TransientError("unavailable")] * 30)
    scan = scene.scan(local, failures=1000)
    assert await scene.outcomes(scan, scene.upload(), scene.upload()) == [Outcome.APPROVED] * 2


async def test_bisection_spares_the_rest_of_the_window(scene: Scene) -> None:
    poison = scene.upload()

    async def refuse(batch: Sequence[ScanItem]) -> None:
        if any(item.job_id == poison.subject for item in batch):
            raise RefusedError("invalid argument")

    uploads = [scene.upload() for _ in range(6)]
    outcomes = await scene.outcomes(scene.scan(scanner(LOCAL, latency=refuse)), *uploads, poison)
    assert outcomes == [*[Outcome.APPROVED] * 6, Outcome.UNSCANNABLE]


@pytest.mark.usefixtures("no_backoff")
async def test_verdicts_that_cannot_be_kept_are_good_all_the_same(scene: Scene) -> None:
    local = scanner(LOCAL)
    await scene.pool.execute(
        "create function away() returns trigger language plpgsql as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$"
    )
    await scene.pool.execute("create trigger away before insert on verdicts execute function away()")
    assert await scene.outcomes(scene.scan(local), scene.upload()) == [Outcome.APPROVED]
    assert scanned_by(local) == [[1]]


def allowing(*names: str) -> Policy:
    thresholds = {"nsfw": {"hold": 0.6, "reject": 0.85}}
    return Policy.model_validate({"default": {"scanners": list(names), "thresholds": thresholds}})


async def test_only_allowed_scanners_are_asked(scene: Scene) -> None:
    scene.policy = allowing("modal")
    vision, modal = scanner(VISION), scanner(MODAL)
    (decided,) = await scene.decisions(scene.scan(vision, modal, routes=REFERENCE), scene.upload())
    assert (decided.outcome, decided.scanner) == (Outcome.APPROVED, "modal")
    assert scanned_by(vision, modal) == [[], [1]]


async def test_where_no_scanner_is_allowed_nothing_is_approved(scene: Scene) -> None:
    scene.policy = allowing("vision")
    local = scanner(LOCAL)
    (decided,) = await scene.decisions(scene.scan(local), scene.upload())
    assert (decided.outcome, decided.reasons) == (Outcome.UNSCANNABLE, ("no_allowed_scanner",))
    assert local.batches == []
