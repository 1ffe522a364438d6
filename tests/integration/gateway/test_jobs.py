"""What a repeated, concurrent, foreign or owed request does to the rows."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from gateway.app import create_app
from gateway.auth import Authenticator, SharedSecret
from gateway.jobs import Job, Jobs, NewJob
from mediagate.database import connect
from mediagate.metrics import EVENTS_OWED
from mediagate.publisher import KafkaPublisher
from mediagate.settings import GatewaySettings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics, load_topics
from tests.integration.gateway.events import read_topic
from tests.integration.gateway.uploader import SECRET, Client, Uploader, declaration, put, serving

CONTENT = b"bytes of an upload"
KEY = {"Idempotency-Key": "6f0c-1"}
Pool = asyncpg.Pool  # the type argument exists for type checkers alone


async def count_rows(pool: "Pool[asyncpg.Record]") -> int:
    count: int = await pool.fetchval("select count(*) from media_jobs")
    return count


async def set_state(pool: "Pool[asyncpg.Record]", media_id: UUID, state: str) -> None:
    await pool.execute("update media_jobs set state = $2 where media_id = $1", media_id, state)


def new_job(number: int) -> NewJob:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return NewJob(
        media_id=UUID(int=number),
        user_id="alice",
        file_name=f"{number}.jpg",
        file_size=5,
        mime_type="image/jpeg",
        sha256="ab" * 32,
        md5="cd" * 16,
        linked_to_type="post",
        linked_to_id="post-1",
        bucket="media-temp",
        key=f"uploads/{number}",
        caller="alice",
        idempotency_key=None,
        request_fingerprint="f",
        created_at=now,
        url_expires_at=now,
    )


class TestInsert:
    async def test_every_value_is_in_its_own_column(self, pool: "Pool[asyncpg.Record]") -> None:
        job = new_job(1)._replace(
            caller="a service", idempotency_key="k", url_expires_at=datetime(2026, 1, 2, tzinfo=UTC)
        )

        await Jobs(pool).insert(job)

        (row,) = await pool.fetch("select * from media_jobs")
        assert {name: row[name] for name in job._fields} == job._asdict()


class TestIdempotencyKey:
    async def test_the_same_request_leads_to_the_same_job(
        self, alice: Uploader, pool: "Pool[asyncpg.Record]"
    ) -> None:
        body = declaration(CONTENT, "alice")

        answers = [await alice.post("/media/request-upload", body, **KEY) for _ in range(3)]

        assert {status for status, _ in answers} == {201}
        assert len({answer["media_id"] for _, answer in answers}) == 1
        assert await count_rows(pool) == 1
        assert await put(answers[-1][1]["upload"], CONTENT) == 200

    async def test_concurrent_equal_requests_make_one_row(
        self, alice: Uploader, pool: "Pool[asyncpg.Record]"
    ) -> None:
        body = declaration(CONTENT, "alice")

        answers = await asyncio.gather(*(alice.post("/media/request-upload", body, **KEY) for _ in range(20)))

        assert {status for status, _ in answers} == {201}
        assert len({answer["media_id"] for _, answer in answers}) == 1
        assert await count_rows(pool) == 1

    async def test_another_body_is_refused_and_makes_no_row(
        self, alice: Uploader, pool: "Pool[asyncpg.Record]"
    ) -> None:
        await alice.post("/media/request-upload", declaration(CONTENT, "alice"), **KEY)

        status, problem = await alice.post(
            "/media/request-upload", declaration(CONTENT, "alice", linked_to_id="post-2"), **KEY
        )

        assert (status, [error["field"] for error in problem["errors"]]) == (422, ["Idempotency-Key"])
        assert await count_rows(pool) == 1

    async def test_a_key_is_its_callers_own(
        self, alice: Uploader, bob: Uploader, pool: "Pool[asyncpg.Record]"
    ) -> None:
        _, of_alice = await alice.post("/media/request-upload", declaration(CONTENT, "alice"), **KEY)
        status, of_bob = await bob.post("/media/request-upload", declaration(CONTENT, "bob"), **KEY)

        assert status == 201
        assert of_alice["media_id"] != of_bob["media_id"]
        assert await count_rows(pool) == 2

    async def test_hash_case_and_field_order_do_not_make_another_body(self, alice: Uploader) -> None:
        body = declaration(CONTENT, "alice")
        turned = dict(reversed(body.items())) | {"sha256_hash": body["sha256_hash"].upper()}

        _, first = await alice.post("/media/request-upload", body, **KEY)
        status, second = await alice.post("/media/request-upload", turned, **KEY)

        assert (status, second["media_id"]) == (201, first["media_id"])

    async def test_nothing_is_signed_once_the_upload_is_accepted(self, alice: Uploader) -> None:
        body = declaration(CONTENT, "alice")
        _, first = await alice.post("/media/request-upload", body, **KEY)
        assert await put(first["upload"], CONTENT) == 200
        assert (await alice.complete(first["media_id"]))[0] == 202

        status, again = await alice.post("/media/request-upload", body, **KEY)

        assert (status, again) == (201, {"media_id": first["media_id"], "upload": None})


class TestGroups:
    """Rows of concurrent requests are committed together."""

    async def test_a_bad_row_does_not_fail_the_others(self, pool: "Pool[asyncpg.Record]") -> None:
        jobs = Jobs(pool)
        wanted = [new_job(number) for number in range(10)]
        wanted[4] = wanted[4]._replace(file_size=0)  # against a check of the table
        wanted[7] = wanted[7]._replace(file_size=2**70)  # not even sent

        made = await asyncio.gather(*map(jobs.insert, wanted), return_exceptions=True)

        failed = [number for number, each in enumerate(made) if isinstance(each, asyncpg.PostgresError)]
        assert failed == [4, 7]
        assert {each.media_id for each in made if isinstance(each, Job)} == {
            each.media_id for number, each in enumerate(wanted) if number not in failed
        }
        assert await count_rows(pool) == 8

    async def test_keys_of_one_group_are_told_apart(self, pool: "Pool[asyncpg.Record]") -> None:
        jobs = Jobs(pool)
        keys = ["b", None, "a", "b", None, "a", "c"]
        wanted = [new_job(n)._replace(idempotency_key=key) for n, key in enumerate(keys)]

        made = await asyncio.gather(*map(jobs.insert, wanted))

        assert [wanted.index(next(w for w in wanted if w.media_id == m.media_id)) for m in made] == [
            0, 1, 2, 0, 4, 2, 6
        ]  # fmt: skip
        assert await count_rows(pool) == 5

    async def test_a_made_job_is_what_its_row_says(self, pool: "Pool[asyncpg.Record]") -> None:
        jobs = Jobs(pool)
        made = await jobs.insert(new_job(1))
        assert await jobs.find(made.media_id) == made


class TestOtherTenants:
    async def test_another_users_upload_cannot_be_told_from_one_that_is_not_there(
        self, alice: Uploader, bob: Uploader
    ) -> None:
        media_id = await alice.upload(CONTENT)
        unknown = UUID(int=media_id.int ^ 1)

        answers = [await bob.complete(media_id), await bob.get(f"/media/{media_id}")]
        answers_on_unknown = [await bob.complete(unknown), await bob.get(f"/media/{unknown}")]

        for (status, problem), (other_status, other) in zip(answers, answers_on_unknown, strict=True):
            assert (status, problem | {"request_id": ""}) == (other_status, other | {"request_id": ""})
            assert status == 404
        assert (await alice.get(f"/media/{media_id}"))[1]["state"] == "awaiting_upload"

    async def test_a_service_sees_and_completes_every_upload(
        self, alice: Uploader, service: Uploader
    ) -> None:
        media_id = await alice.upload(CONTENT)

        assert (await service.complete(media_id))[0] == 202
        assert (await service.get(f"/media/{media_id}"))[1]["state"] == "queued"

    async def test_only_a_service_asks_for_other_users(
        self, alice: Uploader, service: Uploader, pool: "Pool[asyncpg.Record]"
    ) -> None:
        status, problem = await alice.post("/media/request-upload", declaration(CONTENT, "bob"))
        assert (status, problem["errors"][0]["field"]) == (403, "user_id")
        assert await count_rows(pool) == 0

        assert (await service.post("/media/request-upload", declaration(CONTENT, "bob")))[0] == 201


class TestCompletion:
    async def test_concurrent_completions_make_one_event(
        self, alice: Uploader, gateway_settings: GatewaySettings, topics: Topics
    ) -> None:
        media_id = await alice.upload(CONTENT)

        answers = await asyncio.gather(*(alice.complete(media_id) for _ in range(10)))

        assert {status for status, _ in answers} == {202}
        assert len(await read_topic(gateway_settings, topics.upload_completed_image)) == 1

    @pytest.mark.parametrize("change", ["file_size = file_size + 1", "sha256 = repeat('0', 64)"])
    async def test_an_object_that_is_not_the_declared_one_is_refused(
        self, alice: Uploader, pool: "Pool[asyncpg.Record]", change: str
    ) -> None:
        media_id = await alice.upload(CONTENT)
        await pool.execute(f"update media_jobs set {change}")  # noqa: S608

        status, problem = await alice.complete(media_id)

        field = "file_size" if "file_size" in change else "sha256_hash"
        assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
        assert (await alice.get(f"/media/{media_id}"))[1]["state"] == "awaiting_upload"

    async def test_an_expired_upload_is_a_conflict(
        self, alice: Uploader, pool: "Pool[asyncpg.Record]"
    ) -> None:
        media_id = await alice.upload(CONTENT)
        await set_state(pool, media_id, "expired")

        assert (await alice.complete(media_id))[0] == 409

    @pytest.mark.parametrize("state", ["approved", "published", "quarantined", "needs_review", "unscannable"])
    async def test_a_decided_upload_gets_the_same_answer(
        self, alice: Uploader, pool: "Pool[asyncpg.Record]", state: str
    ) -> None:
        media_id = await alice.upload(CONTENT)
        first = await alice.complete(media_id)
        await set_state(pool, media_id, state)

        assert await alice.complete(media_id) == first


class TestKafkaAway:
    async def test_the_completion_is_accepted_and_its_event_is_owed(
        self, memory_client: Client, memory_publisher: InMemoryPublisher, pool: "Pool[asyncpg.Record]"
    ) -> None:
        alice = Uploader(memory_client, "alice")
        media_id = await alice.upload(CONTENT)
        memory_publisher.available = False
        owed = EVENTS_OWED._value.get()

        assert (await alice.complete(media_id))[0] == 202

        row = await pool.fetchrow("select state, event_published_at from media_jobs")
        assert row is not None
        assert tuple(row) == ("queued", None)
        assert EVENTS_OWED._value.get() == owed + 1

    async def test_a_broker_that_does_not_take_the_event_does_not_hold_the_answer(
        self, gateway_settings: GatewaySettings, pool: "Pool[asyncpg.Record]", s3: S3
    ) -> None:
        servers = gateway_settings.kafka_bootstrap_servers
        async with KafkaPublisher(servers, "test", deadline=1) as publisher:
            app = create_app(
                settings=gateway_settings,
                authenticator=Authenticator(SharedSecret(SECRET)),
                jobs=Jobs(pool),
                store=s3,
                publisher=publisher,
                topics=load_topics(gateway_settings.topics_file),  # not made on the broker
                checks={},
            )
            async with serving(app) as client:
                alice = Uploader(client, "alice")
                media_id = await alice.upload(CONTENT)

                assert (await alice.complete(media_id))[0] == 202

        row = await pool.fetchrow("select state, event_published_at from media_jobs")
        assert row is not None
        assert tuple(row) == ("queued", None)

    async def test_a_repetition_leaves_the_event_to_recovery(
        self, memory_client: Client, memory_publisher: InMemoryPublisher
    ) -> None:
        alice = Uploader(memory_client, "alice")
        media_id = await alice.upload(CONTENT)
        memory_publisher.available = False
        first = await alice.complete(media_id)
        memory_publisher.available = True

        assert await alice.complete(media_id) == first
        assert memory_publisher.records == []


class TestStatus:
    async def test_a_published_upload_shows_its_decision_and_item(
        self, alice: Uploader, gateway_settings: GatewaySettings
    ) -> None:
        media_id = await alice.upload(CONTENT)
        decision = {
            "outcome": "approved",
            "reasons": [],
            "scores": {"nsfw": 0.01},
            "scanner": "local",
            "model_version": "m1",
            "policy_version": "p1",
        }
        pool = await connect(str(gateway_settings.database_url), 1)  # its json codec is the sinks' too
        await pool.execute(
            "update media_jobs set state = 'published', decision = $2 where media_id = $1", media_id, decision
        )
        await pool.execute(
            "insert into media_items select media_id, user_id, linked_to_type, linked_to_id, file_name,"
            " mime_type, file_size, sha256, 640, 480, null, 'posts', file_name, now() from media_jobs"
        )
        await pool.close()

        status, answer = await alice.get(f"/media/{media_id}")

        assert (status, answer["state"], answer["decision"]) == (200, "published", decision)
        item = answer["item"]
        assert (item["bucket"], item["key"], item["width"], item["duration"]) == (
            "posts",
            "holiday.jpg",
            640,
            None,
        )

    async def test_an_undecided_upload_has_neither(self, alice: Uploader, s3: S3) -> None:
        media_id = await alice.upload(CONTENT)

        _, answer = await alice.get(f"/media/{media_id}")

        expected = {"media_id": str(media_id), "state": "awaiting_upload", "decision": None, "item": None}
        assert answer == expected
