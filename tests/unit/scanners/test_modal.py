"""The Modal scanner: Modal's own client against a local server."""

import asyncio
import io
import logging
import pickle
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stamina
import structlog

from mediagate.errors import ConfigurationError, RefusedError, TransientError
from mediagate.media import MediaType
from mediagate.progress import telling
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.modal import ModalScanner
from mediagate.scanners.modal_messages import MAX_JOBS
from mediagate.scanners.modal_pickles import PlainUnpickler
from mediagate.scanners.reasons import Reason
from mediagate.settings import ScannerSettings
from tests.modal_server import ModalServer, modal_server
from tests.object_server import object_server

GUARD = 60.0
"""Seconds after which a test that hangs ends."""
SIGNATURE = "signature-of-a-url"


def item(number: int, media_type: MediaType = MediaType.IMAGE) -> ScanItem:
    url = f"https://store.example/{number}?X-Amz-Signature={SIGNATURE}"
    mime_type = "image/jpeg" if media_type is MediaType.IMAGE else "video/mp4"
    return ScanItem(f"job-{number}", media_type, mime_type, "unused", f'"{number}"', 100, url)


def items(count: int) -> list[ScanItem]:
    return [item(number) for number in range(count)]


def result(job_id: str, score: object = 0.1, **changed: object) -> dict[str, object]:
    etag = f'"{job_id.removeprefix("job-")}"'
    return {"job_id": job_id, "etag": etag, "scores": {"nsfw": score}} | changed


def answer(*results: object, model_version: object = "v1") -> dict[str, object]:
    return {"model_version": model_version, "results": list(results)}


def job_ids(payload: Any) -> list[str]:
    return [job["job_id"] for job in payload["jobs"]]


async def all_safe(payload: Any) -> object:
    return answer(*map(result, job_ids(payload)))


class Script:
    """A function that gives one answer a call, or raises it; the last one for good."""

    def __init__(self, *answers: object) -> None:
        self._answers = deque(answers)

    async def __call__(self, payload: Any) -> object:
        next_answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(next_answer, Exception):
            raise next_answer
        return next_answer


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModalServer]:
    async with asyncio.timeout(GUARD), modal_server(all_safe) as served:
        monkeypatch.setenv("MODAL_SERVER_URL", served.url)
        yield served


@pytest.fixture
async def scanner(server: ModalServer) -> AsyncIterator[ModalScanner]:
    async with ModalScanner(server.settings()) as made:
        yield made


@asynccontextmanager
async def scanner_with(server: ModalServer, **changed: object) -> AsyncIterator[ModalScanner]:
    async with ModalScanner(server.settings(**changed)) as made:
        yield made


@pytest.mark.parametrize("input_plane", [False, True], ids=["control plane", "input plane"])
async def test_fifty_images_are_one_call(
    scanner: ModalScanner, server: ModalServer, input_plane: bool
) -> None:
    server.input_plane = input_plane

    results = await scanner.scan(items(50))

    assert results == [Scanned({"nsfw": 0.1})] * 50
    assert server.payloads == [
        {"type": "images", "jobs": [{"job_id": each.job_id, "url": each.public_url} for each in items(50)]}
    ]
    assert server.rpcs["AttemptStart" if input_plane else "FunctionMap"] == 1


async def test_images_and_videos_are_a_call_each(scanner: ModalScanner, server: ModalServer) -> None:
    results = await scanner.scan([item(1, MediaType.VIDEO), item(2), item(3, MediaType.VIDEO)])

    assert results == [Scanned({"nsfw": 0.1})] * 3
    assert [(payload["type"], len(payload["jobs"])) for payload in server.payloads] == [
        ("images", 1),
        ("videos", 2),
    ]


async def test_a_call_is_no_larger_than_the_engine_takes(scanner: ModalScanner, server: ModalServer) -> None:
    results = await scanner.scan(items(MAX_JOBS + 1))

    assert results == [Scanned({"nsfw": 0.1})] * (MAX_JOBS + 1)
    assert [len(payload["jobs"]) for payload in server.payloads] == [MAX_JOBS, 1]


async def test_the_same_job_is_scanned_once(scanner: ModalScanner, server: ModalServer) -> None:
    other_bytes = replace(item(1), etag='"other"')

    results = await scanner.scan([item(1), item(1), other_bytes])

    assert results == [Scanned({"nsfw": 0.1})] * 2 + [Unscannable(Reason.OBJECT_CHANGED)]
    assert job_ids(server.payloads[0]) == ["job-1"]


async def test_results_are_matched_by_job_id(scanner: ModalScanner, server: ModalServer) -> None:
    server.function = Script(answer(result("job-1", 0.9), result("job-0", 0.1)))

    assert await scanner.scan(items(2)) == [Scanned({"nsfw": 0.1}), Scanned({"nsfw": 0.9})]


async def test_what_is_missing_is_asked_for_again_alone(scanner: ModalScanner, server: ModalServer) -> None:
    server.function = Script(answer(result("job-0")), answer(), answer(result("job-1")))

    assert await scanner.scan(items(2)) == [Scanned({"nsfw": 0.1})] * 2
    assert list(map(job_ids, server.payloads)) == [["job-0", "job-1"], ["job-1"], ["job-1"]]


async def test_what_is_missing_after_every_try_is_unscannable(
    scanner: ModalScanner, server: ModalServer
) -> None:
    server.function = Script(answer(result("job-0")))

    assert await scanner.scan(items(2)) == [Scanned({"nsfw": 0.1}), Unscannable(Reason.MISSING_RESULT)]
    assert len(server.payloads) == 3


async def test_what_comes_twice_does_not_count(scanner: ModalScanner, server: ModalServer) -> None:
    twice = answer(result("job-0"), result("job-1"), result("job-1"))
    server.function = Script(twice, answer(result("job-1", 0.9)))

    assert await scanner.scan(items(2)) == [Scanned({"nsfw": 0.1}), Scanned({"nsfw": 0.9})]


async def test_what_nobody_asked_for_is_logged(scanner: ModalScanner, server: ModalServer) -> None:
    server.function = Script(answer(result("stranger"), result("job-0"), 7, {"job_id": [1]}))

    with structlog.testing.capture_logs() as lines:
        assert await scanner.scan(items(1)) == [Scanned({"nsfw": 0.1})]

    assert [line["results"] for line in lines] == [3]


async def test_an_engine_that_names_no_bytes_is_checked_upon(
    scanner: ModalScanner, server: ModalServer
) -> None:
    with object_server() as objects:
        asked = [objects.item(name, name.encode(), "image/jpeg") for name in ("same", "changed", "gone")]
        asked.append(replace(objects.item("away", b"away", "image/jpeg"), url="http://127.0.0.1:9/away"))
        objects.put("changed", b"other")
        del objects.objects["gone"]
        server.function = Script(answer(*(result(each.job_id, etag=None) for each in asked)))

        results = await scanner.scan(asked)

    assert results == [
        Scanned({"nsfw": 0.1}),
        Unscannable(Reason.OBJECT_CHANGED),
        Unscannable(Reason.OBJECT_CHANGED),
        Unavailable("object_unreadable"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "results",
        {"results": []},
        {"model_version": "v1"},
        answer(model_version=7),
        answer(model_version=""),
        {"model_version": "v1", "results": {"job-0": 0.1}},
    ],
    ids=str,
)
async def test_an_answer_of_another_form_is_none(
    scanner: ModalScanner, server: ModalServer, wrong: object
) -> None:
    server.function = Script(wrong)

    with pytest.raises(TransientError, match=r"^modal: "):
        await scanner.scan(items(2))

    assert len(server.payloads) == 3


@pytest.mark.parametrize("pickles", [False, True])
async def test_a_function_that_fails_fails_for_now(
    scanner: ModalScanner, server: ModalServer, pickles: bool
) -> None:
    server.pickles = pickles
    server.function = Script(RuntimeError(f"cannot read {item(0).public_url}"))

    with pytest.raises(TransientError, match="RuntimeError") as failed:
        await scanner.scan(items(2))

    assert SIGNATURE not in str(failed.value)
    assert len(server.payloads) == 3


@pytest.mark.parametrize("pickles", [False, True])
async def test_jobs_that_are_refused_each_time_are_refused(
    scanner: ModalScanner, server: ModalServer, pickles: bool
) -> None:
    server.pickles = pickles
    server.function = Script(ValueError(f"jobs.0.url: {item(0).public_url}"))

    with pytest.raises(RefusedError) as failed:
        await scanner.scan(items(2))

    assert SIGNATURE not in str(failed.value)


@pytest.mark.parametrize(
    "failures",
    [(ValueError("one"), RuntimeError("two")), (RuntimeError("one"), ValueError("two"))],
    ids=["first", "last"],
)
async def test_jobs_that_were_refused_only_once_are_not(
    scanner: ModalScanner, server: ModalServer, failures: Sequence[Exception]
) -> None:
    server.function = Script(*failures)

    with pytest.raises(TransientError):
        await scanner.scan(items(2))


async def test_a_failure_that_passes_leaves_no_trace(scanner: ModalScanner, server: ModalServer) -> None:
    server.function = Script(ValueError("no"), RuntimeError("no"), answer(result("job-0")))

    assert await scanner.scan(items(1)) == [Scanned({"nsfw": 0.1})]


async def test_every_try_is_a_sign_of_life(scanner: ModalScanner, server: ModalServer) -> None:
    server.function = Script(RuntimeError("no"), answer(result("job-0")))
    signs: list[str] = []

    with telling(lambda: signs.append("ended")):
        await scanner.scan(items(1))

    assert len(signs) == 2


async def test_results_that_came_are_kept_when_later_tries_fail(
    scanner: ModalScanner, server: ModalServer
) -> None:
    server.function = Script(answer(result("job-1")), RuntimeError("no"))

    assert await scanner.scan(items(2)) == [Unavailable("modal_unavailable"), Scanned({"nsfw": 0.1})]


async def test_modal_may_be_away_for_a_while(scanner: ModalScanner, server: ModalServer) -> None:
    server.unavailable["FunctionMap"] = 100

    with pytest.raises(TransientError, match="modal: ServiceError"):
        await scanner.scan(items(1))

    server.unavailable.clear()
    assert await scanner.scan(items(1)) == [Scanned({"nsfw": 0.1})]


async def test_a_slow_function_is_given_up(server: ModalServer) -> None:
    started = asyncio.Event()

    async def hang(payload: object) -> object:
        started.set()
        return await asyncio.Event().wait()

    server.function = hang
    async with scanner_with(server, modal_timeout="3", modal_attempts=1) as scanner:
        await scanner.check()
        with pytest.raises(TransientError, match="no answer within 3 s"):
            await scanner.scan(items(1))

    assert started.is_set()
    await server.abandoned.wait()


async def test_a_silent_server_is_given_up(server: ModalServer) -> None:
    server.silent = True

    async with scanner_with(server, modal_timeout="0.5", modal_attempts=2) as scanner:
        for use in (scanner.scan(items(1)), scanner.model_version(), scanner.check()):
            with pytest.raises(TransientError, match=r"no answer within 0\.5 s"):
                await use

    await server.abandoned.wait()


async def test_modal_may_come_up_later(server: ModalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("MODAL_SERVER_URL", f"http://127.0.0.1:{port}")

    async with scanner_with(server, modal_timeout="1", modal_attempts=1) as scanner:
        for use in (scanner.scan(items(1)), scanner.model_version(), scanner.check()):
            with pytest.raises(TransientError, match=r"^modal: "):
                await use
        async with modal_server(all_safe, port):
            assert await first_scan(scanner) == [Scanned({"nsfw": 0.1})]


async def first_scan(scanner: ModalScanner) -> Sequence[ScanResult]:
    while True:
        with suppress(TransientError):
            return await scanner.scan(items(1))


async def test_closing_ends_what_is_under_way(server: ModalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("MODAL_SERVER_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        async with scanner_with(server) as scanner:
            use = asyncio.create_task(scanner.check())
            accepted, _ = await asyncio.to_thread(deaf.accept)
        with pytest.raises(TransientError, match="ClientClosed"):
            await use
        accepted.close()


async def test_a_refused_token_is_said_without_its_secret(
    server: ModalServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    async with scanner_with(server, modal_token_secret="another-secret") as scanner:
        for use in (scanner.scan(items(1)), scanner.model_version(), scanner.check()):
            with pytest.raises(TransientError, match="MODAL_TOKEN_ID and MODAL_TOKEN_SECRET") as failed:
                await use
            assert failed.value.__cause__ is None
        said = f"{scanner!r} {vars(scanner)} {vars(scanner._function)}"

    assert not server.payloads
    for text in (said, caplog.text, *capsys.readouterr()):
        assert "another-secret" not in text


async def test_a_function_that_is_not_there_is_named(server: ModalServer) -> None:
    async with scanner_with(server, modal_function="another") as scanner:
        with pytest.raises(TransientError, match="no function another in an app tomouh-scan-engine"):
            await scanner.check()


async def test_checking_runs_nothing(scanner: ModalScanner, server: ModalServer) -> None:
    await scanner.check()

    assert server.rpcs["FunctionGet"] == 1
    assert not server.payloads


async def test_the_model_version_is_asked_for_once(scanner: ModalScanner, server: ModalServer) -> None:
    assert await scanner.model_version() == "v1"
    assert await scanner.model_version() == "v1"
    assert server.payloads == [{"type": "images", "jobs": []}]


async def test_scores_of_another_model_do_not_count(scanner: ModalScanner, server: ModalServer) -> None:
    assert await scanner.model_version() == "v1"
    server.function = Script(answer(result("job-0"), model_version="v2"))

    with pytest.raises(TransientError, match="v2"):
        await scanner.scan(items(1))

    assert await scanner.model_version() == "v2"
    assert await scanner.scan(items(1)) == [Scanned({"nsfw": 0.1})]


async def test_a_model_that_changes_between_tries_does_not_count(
    scanner: ModalScanner, server: ModalServer
) -> None:
    server.function = Script(answer(result("job-0")), answer(result("job-1"), model_version="v2"))

    with pytest.raises(TransientError, match="v2"):
        await scanner.scan(items(2))


async def test_plain_pickles_are_read(scanner: ModalScanner, server: ModalServer) -> None:
    server.pickles = True

    assert await scanner.scan(items(1)) == [Scanned({"nsfw": 0.1})]


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


async def test_a_pickle_runs_no_code(scanner: ModalScanner, server: ModalServer, tmp_path: Path) -> None:
    server.pickles = True
    server.function = Script(answer(result("job-0"), Touch(tmp_path / "touched")))

    with pytest.raises(TransientError, match="DeserializationError"):
        await scanner.scan(items(1))

    assert not (tmp_path / "touched").exists()


class TouchError(Exception):
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


async def test_a_pickled_exception_runs_no_code(
    scanner: ModalScanner, server: ModalServer, tmp_path: Path
) -> None:
    server.pickles = True
    server.function = Script(TouchError(tmp_path / "touched"))

    with pytest.raises(TransientError, match="ExecutionError"):
        await scanner.scan(items(1))

    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("value", [SystemExit(1), KeyboardInterrupt(), print, Path("x"), TransientError])
def test_pickles_hold_plain_values_and_exceptions_only(value: object) -> None:
    plain = {"a": [1, 0.5, None, True, "b"]}
    assert through_a_pickle(plain) == plain
    assert isinstance(through_a_pickle(ValueError("a")), ValueError)

    with pytest.raises(pickle.UnpicklingError):
        through_a_pickle(value)


def through_a_pickle(value: object) -> object:
    return PlainUnpickler(None, io.BytesIO(pickle.dumps(value))).load()  # type: ignore[no-untyped-call]


def test_a_token_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="MODAL_TOKEN_ID"):
        ModalScanner(ScannerSettings.model_validate({"modal_token_id": None, "modal_token_secret": None}))
