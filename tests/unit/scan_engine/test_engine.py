"""The engine that Modal runs, without Modal."""

from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from mediagate.media_pool import MediaPool
from mediagate.scanners.local import LocalScanner
from mediagate.scanners.modal_messages import MAX_JOBS
from mediagate.settings import MediaSettings
from scan_engine.engine import Engine
from tests import samples
from tests.object_server import ObjectServer, etag, object_server

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the engine belongs to one loop

PICTURE = samples.jpeg(256, 256)
VIDEO = samples.mp4(2)
NOWHERE = "http://127.0.0.1:9/discard"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(MediaSettings(), deadline=60) as made:
        yield made


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served, stamina.set_testing(True, attempts=3, cap=True):
        yield served


def payload(kind: object, **urls: str) -> dict[str, object]:
    return {"type": kind, "jobs": [{"job_id": job_id, "url": url} for job_id, url in urls.items()]}


async def results(engine: Engine, kind: str, **urls: str) -> Any:
    return (await engine.scan(payload(kind, **urls)))["results"]


async def test_an_answer_names_the_model_and_the_bytes(engine: Engine, server: ObjectServer) -> None:
    server.put("picture", PICTURE)
    settings = MediaSettings()
    with MediaPool(settings) as pool:
        model_version = await LocalScanner(pool, settings).model_version()

    answer: Any = await engine.scan(payload("images", job=server.url("picture")))

    (result,) = answer["results"]
    assert set(answer) == {"model_version", "results"}
    assert answer["model_version"] == model_version
    assert result == {
        "job_id": "job",
        "etag": etag(PICTURE),
        "size": len(PICTURE),
        "scores": {"nsfw": pytest.approx(0.0, abs=0.2)},
    }


async def test_no_jobs_no_results(engine: Engine) -> None:
    assert (await engine.scan(payload("videos")))["results"] == []


async def test_each_job_has_its_own_result_in_order(engine: Engine, server: ObjectServer) -> None:
    server.put("picture", PICTURE)
    server.put("video", VIDEO)
    server.put("page", samples.HTML)
    server.put("empty", b"")
    urls = {name: server.url(name) for name in ("video", "picture", "page", "empty", "gone")}

    found = await results(engine, "images", **urls, away=NOWHERE, again=server.url("picture"))

    assert [result["job_id"] for result in found] == [*urls, "away", "again"]
    assert [result.get("reason") for result in found] == [
        "mime_type_mismatch",
        None,
        "not_media",
        "empty",
        "object_changed",
        "object_unreadable",
        None,
    ]
    assert [result.get("retry", False) for result in found] == [False] * 5 + [True, False]


async def test_videos_are_scored_as_videos(engine: Engine, server: ObjectServer) -> None:
    server.put("video", VIDEO)
    server.put("truncated", samples.mp4(30, faststart=True)[:8000])
    server.put("picture", PICTURE)

    found = await results(
        engine, "videos", **{name: server.url(name) for name in ("video", "truncated", "picture")}
    )

    assert "scores" in found[0]
    assert [result.get("reason") for result in found] == [None, "missing_frames", "mime_type_mismatch"]


async def test_redirects_are_not_followed(engine: Engine, server: ObjectServer) -> None:
    server.put("picture", PICTURE)
    server.statuses = [302] * 3

    (result,) = await results(engine, "images", job=server.url("picture"))

    assert result == {"job_id": "job", "reason": "object_unreadable", "retry": True}
    assert len(server.requests) == 3


async def test_a_read_that_fails_later_is_to_be_tried_again(engine: Engine, server: ObjectServer) -> None:
    server.put("picture", PICTURE)
    server.fail_after = 1

    (result,) = await results(engine, "images", job=server.url("picture"))

    assert result == {"job_id": "job", "reason": "object_unreadable", "retry": True}


async def test_what_takes_too_long_is_to_be_tried_again(server: ObjectServer) -> None:
    server.put("picture", PICTURE)
    with Engine(MediaSettings(), deadline=0) as hasty:
        (result,) = await results(hasty, "images", job=server.url("picture"))

    assert result == {"job_id": "job", "reason": "engine_deadline", "retry": True}


@pytest.mark.parametrize(
    ("faulty", "field"),
    [
        (None, "payload"),
        ([], "payload"),
        ({"jobs": []}, "type"),
        ({"type": "images"}, "jobs"),
        (payload("documents"), "type"),
        (payload(7), "type"),
        ({"type": "images", "jobs": {}}, "jobs"),
        ({"type": "images", "jobs": [7]}, r"jobs\.0"),
        ({"type": "images", "jobs": [{"job_id": "a"}]}, r"jobs\.0\.url"),
        ({"type": "images", "jobs": [{"url": NOWHERE}]}, r"jobs\.0\.job_id"),
        (payload("images", a=NOWHERE, b="file:///etc/passwd"), r"jobs\.1\.url"),
        (payload("images", a="ftp://store.example/secret"), r"jobs\.0\.url"),
        (payload("images", a="http://store.example/a\nsecret"), r"jobs\.0\.url"),
        ({"type": "images", "jobs": [{"job_id": "", "url": NOWHERE}]}, r"jobs\.0\.job_id"),
        ({"type": "images", "jobs": [{"job_id": "a", "url": NOWHERE}] * 2}, ".*there twice"),
        (payload("images", **{str(number): NOWHERE for number in range(MAX_JOBS + 1)}), "jobs"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_faulty_payload_names_its_field(engine: Engine, faulty: object, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}") as raised:
        await engine.scan(faulty)

    assert raised.value.__suppress_context__
    for error in (raised.value, raised.value.__context__):
        assert "secret" not in str(error)
        assert "passwd" not in str(error)
