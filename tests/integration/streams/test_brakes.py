"""Safety brakes: unusual shares are held, for all workers, until an operator resumes them."""

import pytest

from mediagate.events import Outcome
from mediagate.media import MediaType
from mediagate.metrics import BRAKES
from mediagate.scanners import Scanned
from mediagate.testing.scanner import HARMLESS, ScriptedScanner
from streams.brakes import Bands
from streams.scanning import WindowScan
from tests.integration.streams.scene import USUAL, Scene

APPROVED, REJECTED, HELD = Outcome.APPROVED, Outcome.REJECTED, Outcome.NEEDS_REVIEW
UNSAFE = Scanned({"nsfw": 0.9})


def images(approved: tuple[float, float] = (0.0, 1.0), rejected: tuple[float, float] = (0.0, 1.0)) -> Bands:
    return {**USUAL, MediaType.IMAGE: {APPROVED: approved, REJECTED: rejected}}


def broken(scene: Scene, *, unsafe: bool = False, bands: Bands) -> WindowScan:
    """A scanner that says the same of everything; the last ten decisions count."""
    scanner = ScriptedScanner(name="local", default=UNSAFE if unsafe else HARMLESS)
    return scene.scan(scanner, bands=bands, decisions=10)


async def window(scene: Scene, scan: WindowScan, size: int) -> list[Outcome]:
    return await scene.outcomes(scan, *(scene.upload() for _ in range(size)))


async def test_a_scanner_that_calls_everything_safe_does_not_publish_everything(scene: Scene) -> None:
    scan = broken(scene, bands=images(approved=(0.3, 0.95)))
    assert await window(scene, scan, 9) == [APPROVED] * 9
    assert await window(scene, scan, 3) == [HELD] * 3, "not even those of the window that shows it"
    (decided,) = await scene.decisions(scan, scene.upload())
    assert decided.outcome is HELD
    assert decided.braked is APPROVED
    assert decided.reasons == ("brake: approved is held until an operator resumes it",)
    assert BRAKES.labels("image", "approved")._value.get() == 1
    (row,) = await scene.brake_rows()
    assert (row["media_type"], row["outcome"], row["share"], row["decisions"]) == (
        "image",
        "approved",
        1.0,
        10,
    )
    assert (row["low"], row["high"], row["resumed_at"]) == (0.3, 0.95, None)


async def test_a_scanner_that_calls_everything_unsafe_takes_nothing_down(scene: Scene) -> None:
    scan = broken(scene, unsafe=True, bands=images(rejected=(0.0, 0.5)))
    assert await window(scene, scan, 9) == [REJECTED] * 9
    assert await window(scene, scan, 1) == [HELD]
    (decided,) = await scene.decisions(scan, scene.upload())
    assert decided.braked is REJECTED
    assert decided.reasons[1:] == ("nsfw 0.900 >= reject 0.85",)


async def test_only_the_unusual_kind_is_held(scene: Scene) -> None:
    scan = broken(scene, bands=images(approved=(0.0, 0.95)))
    await window(scene, scan, 10)
    other = broken(scene, unsafe=True, bands=images(approved=(0.0, 0.95)))
    assert await window(scene, other, 2) == [REJECTED] * 2


async def test_every_worker_holds_and_a_new_one_too(scene: Scene) -> None:
    bands = images(approved=(0.0, 0.95))
    await window(scene, broken(scene, bands=bands), 10)
    assert await window(scene, broken(scene, bands=bands), 1) == [HELD]
    assert len(await scene.brake_rows()) == 1


async def test_an_operator_resumes_and_the_counting_begins_anew(scene: Scene) -> None:
    scan = broken(scene, bands=images(approved=(0.0, 0.95)))
    await window(scene, scan, 12)
    await scene.pool.execute("update brakes set resumed_at = now()")
    assert await window(scene, scan, 9) == [APPROVED] * 9
    assert BRAKES.labels("image", "approved")._value.get() == 0
    assert await window(scene, scan, 1) == [HELD], "the scanner is still broken"
    assert len(await scene.brake_rows()) == 2


@pytest.mark.usefixtures("no_backoff")
async def test_outcomes_count_once_however_often_the_database_is_away(scene: Scene) -> None:
    scan = broken(scene, bands=images(approved=(0.0, 0.95)))
    await window(scene, scan, 9)
    await scene.pool.execute(
        "create function away() returns trigger language plpgsql as $$ begin "
        "if nextval('tries') < 3 then perform pg_terminate_backend(pg_backend_pid()); end if; "
        "return new; end $$"
    )
    await scene.pool.execute("create sequence tries")
    await scene.pool.execute("create trigger away before insert on brakes execute function away()")

    assert await window(scene, scan, 1) == [HELD]

    assert await scene.pool.fetchval("select last_value from tries") == 3
    assert len(await scene.brake_rows()) == 1
