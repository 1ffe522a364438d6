"""The block list on the way to a decision: before any scanner, and only on accepted bytes."""

import hashlib

import pytest

from mediagate.errors import TransientError
from mediagate.events import Outcome
from mediagate.testing.scanner import ScriptedScanner
from tests.integration.streams.scene import Scene
from tests.uploads import NOW

BAD = b"known bad bytes"


async def block(scene: Scene, kind: str, hash_: str) -> None:
    await scene.pool.execute(
        "insert into hash_block_list (kind, hash, note, added_at) values ($1, $2, 'list', $3)",
        kind,
        hash_,
        NOW,
    )


@pytest.mark.parametrize("kind", ["sha256", "md5"])
async def test_known_bad_bytes_are_rejected_and_no_scanner_is_asked(scene: Scene, kind: str) -> None:
    digest = hashlib.new(kind, BAD, usedforsecurity=False).hexdigest()
    await block(scene, kind, digest)
    scanner = ScriptedScanner(name="local")
    bad, good = scene.upload(BAD), scene.upload()

    rejected, approved = await scene.decisions(scene.scan(scanner), bad, good)

    assert (rejected.outcome, approved.outcome) == (Outcome.REJECTED, Outcome.APPROVED)
    assert rejected.reasons == (f"block_list: {kind} {digest[:12]} (list)",)
    assert (rejected.scanner, rejected.model_version, rejected.scores) == ("block_list", None, {})
    assert [[item.job_id for item in batch] for batch in scanner.batches] == [[good.subject]]


async def test_a_picture_that_looks_like_a_known_bad_one_is_rejected(scene: Scene) -> None:
    known = "f" * 64
    await block(scene, "pdq", known)
    near, far = scene.upload(), scene.upload()
    scene.inspector.pdq = {near.subject: ("0" * 64, "f" * 57 + "0" * 7), far.subject: ("f" * 56 + "0" * 8,)}

    decisions = await scene.decisions(scene.scan(ScriptedScanner(name="local")), near, far)

    assert [decided.outcome for decided in decisions] == [Outcome.REJECTED, Outcome.APPROVED]
    assert decisions[0].reasons == ("block_list: pdq ffffffffffff distance 28 (list)",)
    assert scene.inspector.asked_for_pdq


async def test_perceptual_hashes_are_not_computed_where_nobody_needs_them(scene: Scene) -> None:
    await scene.decisions(scene.scan(ScriptedScanner(name="local")), scene.upload())
    assert not scene.inspector.asked_for_pdq


async def test_known_bad_bytes_are_rejected_even_where_they_do_not_parse(scene: Scene) -> None:
    await block(scene, "sha256", hashlib.sha256(BAD).hexdigest())
    bad = scene.upload(BAD)
    scene.inspector.unscannable[bad.subject] = "undecodable"
    assert await scene.outcomes(scene.scan(ScriptedScanner(name="local")), bad) == [Outcome.REJECTED]


async def test_what_is_not_what_was_accepted_is_no_match(scene: Scene) -> None:
    await block(scene, "sha256", hashlib.sha256(BAD).hexdigest())
    bad = scene.upload(BAD)
    scene.store.put(bad.data.bucket, bad.data.key, b"something else")
    (decided,) = await scene.decisions(scene.scan(ScriptedScanner(name="local")), bad)
    assert (decided.outcome, decided.reasons) == (Outcome.UNSCANNABLE, ("object_changed",))


@pytest.mark.usefixtures("no_backoff")
async def test_a_window_that_is_tried_again_counts_its_matches_once(scene: Scene) -> None:
    await block(scene, "sha256", hashlib.sha256(BAD).hexdigest())
    scanner = ScriptedScanner(name="local", failures=[TransientError("unavailable")] * 3)
    outcomes = await scene.outcomes(scene.scan(scanner), scene.upload(BAD), scene.upload())
    assert outcomes == [Outcome.REJECTED, Outcome.APPROVED]
    assert await scene.pool.fetchval("select count(*) from hash_block_matches") == 1
