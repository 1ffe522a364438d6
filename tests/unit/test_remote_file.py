import io
import random
import socket
from collections.abc import Iterator

import pytest
import stamina
from structlog.testing import capture_logs

from mediagate import remote_file
from mediagate.errors import ObjectChangedError, StopError, TransientError
from mediagate.remote_file import BLOCK, CACHED_BLOCKS, Head, RemoteFile, SizeMismatchError, read_head
from tests.object_server import ObjectServer, etag, object_server

CONTENT = random.Random(7).randbytes(2 * BLOCK + 1234)  # noqa: S311 - any bytes will do


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served, stamina.set_testing(True, attempts=remote_file.ATTEMPTS):
        yield served


def open_(server: ObjectServer, content: bytes = CONTENT, size: int | None = None) -> RemoteFile:
    etag = server.put("object", content)
    return RemoteFile(server.url("object"), etag, len(content) if size is None else size)


def test_reads_what_a_local_file_would(server: ObjectServer) -> None:
    local = io.BytesIO(CONTENT)
    choices = random.Random(1)  # noqa: S311 - the same places each time
    with open_(server) as remote:
        for _ in range(200):
            offset, length = choices.randrange(len(CONTENT) + 100), choices.randrange(BLOCK)
            assert remote.seek(offset) == local.seek(offset)
            assert remote.read(length) == local.read(length)
            assert remote.tell() == local.tell()
        assert remote.seek(-5, io.SEEK_END) == len(CONTENT) - 5
        assert remote.seek(2, io.SEEK_CUR) == len(CONTENT) - 3
        assert remote.read() == CONTENT[-3:]
        assert remote.read(1) == b""


def test_asks_for_each_block_once(server: ObjectServer) -> None:
    with open_(server) as remote:
        remote.read()
        remote.seek(0)
        remote.read()

    assert server.requests == [
        f"bytes=0-{BLOCK - 1}",
        f"bytes={BLOCK}-{2 * BLOCK - 1}",
        f"bytes={2 * BLOCK}-{len(CONTENT) - 1}",
    ]


def test_keeps_few_blocks(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "BLOCK", 10)
    with open_(server, bytes(10 * (CACHED_BLOCKS + 1))) as remote:
        remote.read()
        remote.seek(0)
        remote.read(1)

    assert server.requests.count("bytes=0-9") == 2


def test_nothing_is_asked_before_it_is_read(server: ObjectServer) -> None:
    open_(server).close()

    assert server.requests == []


@pytest.mark.parametrize("ignores_if_match", [False, True])
def test_an_object_that_changed_is_not_read(server: ObjectServer, ignores_if_match: bool) -> None:
    server.ignores_if_match = ignores_if_match
    with open_(server) as remote:
        server.put("object", CONTENT[::-1])
        with pytest.raises(ObjectChangedError):
            remote.read(10)
        assert isinstance(remote.failure, ObjectChangedError)


def test_an_object_that_changes_on_the_way_is_not_read_on(server: ObjectServer) -> None:
    with open_(server) as remote:
        assert remote.read(10) == CONTENT[:10]
        server.put("object", CONTENT[::-1])
        remote.seek(BLOCK)
        with pytest.raises(ObjectChangedError):
            remote.read(10)


def test_an_object_that_is_gone_has_changed(server: ObjectServer) -> None:
    with open_(server) as remote:
        server.objects.clear()
        with pytest.raises(ObjectChangedError):
            remote.read(1)


@pytest.mark.parametrize("size", [5, 20])
def test_another_size_is_named(server: ObjectServer, size: int) -> None:
    with open_(server, b"0123456789", size) as remote, pytest.raises(SizeMismatchError):
        remote.read()


def test_an_empty_object_is_not_as_long_as_accepted(server: ObjectServer) -> None:
    with open_(server, b"", 10) as remote, pytest.raises(SizeMismatchError):
        remote.read()


def test_a_passing_fault_is_tried_again(server: ObjectServer) -> None:
    server.statuses = [503, 500]
    with open_(server) as remote:
        assert remote.read(3) == CONTENT[:3]


@pytest.mark.parametrize("status", [200, 302, 307, 400, 403, 429, 500, 503])
def test_any_other_answer_is_transient_and_no_redirect_is_followed(server: ObjectServer, status: int) -> None:
    server.statuses = [status] * remote_file.ATTEMPTS
    with open_(server) as remote, pytest.raises(TransientError, match=str(status)):
        remote.read(3)

    assert len(server.requests) == remote_file.ATTEMPTS


def test_a_cut_body_is_transient(server: ObjectServer) -> None:
    server.cut = True
    with open_(server) as remote, pytest.raises(TransientError):
        remote.read(3)


def test_the_first_failure_stays(server: ObjectServer) -> None:
    server.statuses = [503] * remote_file.ATTEMPTS
    with open_(server) as remote:
        for _ in range(2):
            with pytest.raises(TransientError):
                remote.read(3)


def test_an_unreachable_store_is_transient_and_its_url_is_not_told() -> None:
    with socket.socket() as reserved, stamina.set_testing(True, attempts=2):
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        remote = RemoteFile(f"http://127.0.0.1:{port}/object?X-Amz-Signature=secret", '"etag"', 10)
        with pytest.raises(TransientError) as raised:
            remote.read(1)
        remote.close()

    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/object", "/etc/passwd"])
def test_only_http_is_read(url: str) -> None:
    with pytest.raises(StopError):
        RemoteFile(url, '"etag"', 10)


def test_confirming_reads_one_byte(server: ObjectServer) -> None:
    with open_(server) as remote:
        remote.confirm()

    assert server.requests == ["bytes=0-0"]


def test_confirming_finds_what_changed(server: ObjectServer) -> None:
    with open_(server) as remote, open_(server, size=7) as shorter:
        with pytest.raises(SizeMismatchError):
            shorter.confirm()
        server.put("object", b"other")
        with pytest.raises(ObjectChangedError):
            remote.confirm()


@pytest.mark.parametrize("content", [CONTENT, b"short", b""], ids=len)
def test_a_head_is_what_is_there(server: ObjectServer, content: bytes) -> None:
    server.put("object", content)

    head = read_head(server.url("object"), 100)

    assert (head.content, head.size) == (content[:100], len(content))
    assert head.etag == etag(content) or not content


def test_a_head_survives_two_failures(server: ObjectServer) -> None:
    server.put("object", CONTENT)
    server.statuses = [503, 500]

    assert read_head(server.url("object"), 4) == Head(CONTENT[:4], etag(CONTENT), len(CONTENT))


@pytest.mark.parametrize(("status", "error"), [(404, ObjectChangedError), (302, TransientError)])
def test_a_head_that_is_not_there(server: ObjectServer, status: int, error: type[Exception]) -> None:
    server.put("object", CONTENT)
    server.statuses = [status] * remote_file.ATTEMPTS

    with capture_logs() as lines, pytest.raises(error) as raised:
        read_head(server.url("object"), 4)

    assert "secret" not in f"{raised.value} {lines}"
    assert set(server.requests) == {"bytes=0-3"}


def test_a_head_that_is_cut_is_none(server: ObjectServer) -> None:
    server.put("object", CONTENT)
    server.cut = True

    with pytest.raises(TransientError):
        read_head(server.url("object"), 100)
