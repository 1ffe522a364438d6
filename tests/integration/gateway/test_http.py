"""What the gateway answers to requests that are odd, abusive or simply wrong."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from itertools import product
from typing import Any

import asyncpg
import pytest

from gateway import requests as gateway_requests
from gateway.app import create_app
from gateway.auth import Authenticator, SharedSecret
from gateway.jobs import Jobs
from gateway.middleware import REQUEST_ID
from gateway.readiness import dependency_checks
from mediagate.settings import GatewaySettings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import TopicAdmin, Topics, load_topics
from tests.integration.gateway.uploader import SECRET, Client, Uploader, declaration, serving, token

PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}
MEDIA = "/media/4b9f7f6e-52d2-4a53-9d7c-3e6a0a3f3b11"
POSTS = ["/media/request-upload", "/media/upload-complete"]


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token('alice', **claims)}"}


async def test_every_faulty_field_is_named_at_once(alice: Uploader) -> None:
    body = declaration(b"x", "alice", file_size=0, mime_type="text/html", sha256_hash="?", file_name="/")
    del body["linked_to_id"]

    status, problem = await alice.post("/media/request-upload", body)

    assert (status, problem["title"]) == (422, HTTPStatus.UNPROCESSABLE_ENTITY.phrase)
    assert {error["field"] for error in problem["errors"]} == {
        "file_size",
        "mime_type",
        "sha256_hash",
        "file_name",
        "linked_to_id",
    }


async def test_without_a_valid_token_nothing_happens(
    client: Client, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    body = json.dumps(declaration(b"x", "alice"))
    calls = [("POST", path) for path in POSTS] + [("GET", MEDIA)]
    tokens = [{}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic x"}, bearer(exp=1)]

    for (method, path), headers in product(calls, tokens):
        async with client.request(method, path, data=body, headers=JSON | headers) as response:
            assert (response.status, response.content_type) == (401, PROBLEM), (path, headers)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert await pool.fetchval("select count(*) from media_jobs") == 0


BAD_BODIES: list[tuple[bytes, dict[str, str], int]] = [
    (b"{", JSON, 400),
    (b"", JSON, 400),
    (b"[" * 60_000, JSON, 400),
    (b"\xff\xfe{\x00}\x00", JSON, 400),
    (b"null", JSON, 422),
    (b"{}", JSON, 422),
    (b'{"media_id": "\\u0000", "user_id": "a\\u0000"}', JSON, 422),
    (b'{"media_id": 7, "file_size": 1e400}', JSON, 422),
    (b"{}", {"Content-Type": "text/plain"}, 415),
    (b"{}", {"Content-Type": "application/json/x"}, 415),
    (b"{}", {"Content-Type": "\xff"}, 415),
    (b"garbage", JSON | {"Content-Encoding": "gzip"}, 415),
    (gzip.compress(b" " * 10_000_000), JSON | {"Content-Encoding": "gzip"}, 415),
    (b" " * (64 * 1024) + b"{}", JSON, 413),
]


async def test_a_bad_body_is_a_problem(client: Client) -> None:
    for path, (body, headers, status) in product(POSTS, BAD_BODIES):
        async with client.post(path, data=body, headers=bearer() | headers) as response:
            assert (response.status, response.content_type) == (status, PROBLEM), (path, body[:40], headers)
            problem = json.loads(await response.read())
        assert problem["status"] == status
        assert problem["request_id"] == response.headers["X-Request-ID"]


async def test_a_body_of_64_kib_is_read(client: Client) -> None:
    body = b" " * (64 * 1024 - 2) + b"{}"

    async with client.post("/media/upload-complete", data=body, headers=bearer() | JSON) as response:
        assert response.status == 422


async def test_nul_and_odd_characters_do_no_harm(alice: Uploader) -> None:
    for field in ("user_id", "linked_to_id", "linked_to_type", "mime_type", "sha256_hash"):
        status, problem = await alice.post(
            "/media/request-upload", declaration(b"x", "alice", **{field: "a\0b"})
        )
        assert (status, {error["field"] for error in problem["errors"]}) == (422, {field})
    answer = await alice.request_upload(b"x", file_name="a\0b\U0001f4a9\r\n.jpg", linked_to_id="\U0001f4a9")
    assert answer["upload"]


async def test_other_paths_and_methods_are_problems(client: Client) -> None:
    for method, path, status in [
        ("GET", "/", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/media/a/b", 404),
        ("POST", "/livez", 405),
        ("GET", "/media/request-upload", 405),
        ("DELETE", MEDIA, 405),
        ("PROPFIND", "/openapi.json", 405),
    ]:
        async with client.request(method, path) as response:
            assert (response.status, response.content_type) == (status, PROBLEM), (method, path)
            assert ("Allow" in response.headers) == (status == 405)


async def test_what_is_no_id_is_not_found(alice: Uploader) -> None:
    for media_id in ["x", "%00", "..%2f..%2fetc", "a" * 4000, "%ff", "-" * 36]:
        assert (await alice.get(f"/media/{media_id}"))[0] == 404, media_id


async def test_a_request_id_is_kept_or_made(client: Client) -> None:
    async with client.get("/livez", headers={"X-Request-ID": "abc-123"}) as response:
        assert response.headers["X-Request-ID"] == "abc-123"
    made = set()
    for _ in range(2):
        async with client.get("/livez", headers={"X-Request-ID": "not allowed: {}"}) as response:
            made.add(response.headers["X-Request-ID"])
    assert len(made) == 2
    assert all(REQUEST_ID.fullmatch(each) for each in made)


async def test_the_topics_are_described_as_they_are_declared(client: Client, topics: Topics) -> None:
    async with client.get("/asyncapi.json") as response:
        document = await response.json()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {topic.name for topic in topics.all()}


async def test_metrics_count_requests_per_route(client: Client) -> None:
    await (await client.get(MEDIA)).read()
    await (await client.request("PROPFIND", "/coffee")).read()

    async with client.get("/metrics") as response:
        text = await response.text()
    assert 'mediagate_http_requests_total{method="GET",route="/media/{media_id}",status="401"}' in text
    assert 'mediagate_http_requests_total{method="other",route="unmatched",status="404"}' in text
    assert "4b9f7f6e" not in text


async def test_slow_clients_do_not_hold_others(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_requests, "BODY_TIMEOUT", 0.2)
    head = "POST /media/upload-complete HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: 100\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n{{"
    assert client.port is not None
    slow = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(50)]
    for _, writer in slow:
        writer.write(head.encode())
        await writer.drain()

    async with client.get("/livez") as response:
        assert response.status == 200

    for reader, writer in slow:
        async with asyncio.timeout(10):
            assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


class TestReadiness:
    async def test_it_is_ready_when_all_is_there(self, client: Client) -> None:
        async with client.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ready", "missing": {}})

    async def test_it_names_what_is_missing(
        self, broken: Client, pool: "asyncpg.Pool[asyncpg.Record]"
    ) -> None:
        await pool.close()

        async with broken.get("/readyz") as response:
            answer = await response.json()
        assert response.status == 503
        assert answer["missing"]["postgresql"] == "does not answer"
        assert answer["missing"]["s3"].startswith("buckets are missing: ")
        assert answer["missing"]["kafka"].startswith("topics are missing: ")

    async def test_a_database_that_is_away_is_503(
        self, broken: Client, pool: "asyncpg.Pool[asyncpg.Record]"
    ) -> None:
        await pool.close()
        alice = Uploader(broken, "alice")

        status, problem = await alice.post("/media/request-upload", declaration(b"x", "alice"))

        assert (status, problem["title"]) == (503, "Service Unavailable")

    async def test_an_unexpected_failure_shows_only_the_request_id(
        self, broken: Client, pool: "asyncpg.Pool[asyncpg.Record]", caplog: pytest.LogCaptureFixture
    ) -> None:
        await pool.execute("drop table media_jobs cascade")
        alice = Uploader(broken, "alice")

        status, problem = await alice.post("/media/request-upload", declaration(b"x", "alice"))

        assert status == 500
        assert "media_jobs" not in json.dumps(problem)
        assert problem["request_id"]

    @pytest.fixture
    async def broken(
        self, gateway_settings: GatewaySettings, pool: "asyncpg.Pool[asyncpg.Record]", topics_file: object
    ) -> AsyncIterator[Client]:
        """A gateway without topics and buckets, whose database can be taken away."""
        store, jobs = S3(gateway_settings), Jobs(pool)
        topics: Topics = load_topics(gateway_settings.topics_file)
        async with TopicAdmin(gateway_settings.kafka_bootstrap_servers) as admin:
            app = create_app(
                settings=gateway_settings,
                authenticator=Authenticator(SharedSecret(SECRET)),
                jobs=jobs,
                store=store,
                publisher=InMemoryPublisher(),
                topics=topics,
                checks=dependency_checks(jobs, store, gateway_settings.temp_bucket, admin, topics),
            )
            async with serving(app) as client:
                yield client
        store.close()
