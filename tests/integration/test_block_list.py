"""The block list on a real PostgreSQL: changing it, matching, and entries that match too much."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mediagate.block_list import Entry, Kind
from mediagate.block_list.table import BlockListTable, Imported
from mediagate.database import connect
from mediagate.errors import ConfigurationError, TransientError
from streams.block_list import BlockList, Candidate, Match
from streams.pdq_index import PdqIndex

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

START = datetime(2026, 1, 1, tzinfo=UTC)
SHA256 = "ab" * 32
MD5 = "cd" * 16
PDQ = "0f" * 32
NEAR_PDQ = "00" + PDQ[2:]
"""Four bits from the other."""
NEARER_PDQ = "0e" + PDQ[2:]
MAX_MATCHES = 3


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
async def pool(database_url: str) -> "AsyncIterator[Pool]":
    pool = await connect(database_url, 10)
    yield pool
    await pool.close()


@pytest.fixture
def table(pool: "Pool") -> BlockListTable:
    return BlockListTable(pool)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def block_list(pool: "Pool", clock: Clock) -> BlockList:
    return BlockList(pool, MAX_MATCHES, clock)


def item(sha256: str = "", md5: str = "", pdq: str = "", media_id: UUID | None = None) -> Candidate:
    return Candidate(
        media_id or uuid4(),
        frozenset({sha256} if sha256 else ()),
        frozenset({md5} if md5 else ()),
        (pdq,) if pdq else (),
    )


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


async def hashes_listed(table: BlockListTable, *, suspended: bool = False) -> list[str]:
    return [entry.hash for entry in await table.newest(None, suspended=suspended, count=10, now=START)]


async def matched(block_list: BlockList, *candidates: Candidate) -> list[Match | None]:
    matches = await block_list.matches(candidates)
    assert set(matches) <= {candidate.media_id for candidate in candidates}
    return [matches.get(candidate.media_id) for candidate in candidates]


async def test_an_import_says_what_was_new(table: BlockListTable) -> None:
    assert await table.add([Entry(Kind.MD5, MD5, "first")], START) == Imported(new=1, known=0)

    again = [
        Entry(Kind.MD5, MD5, "other"),
        Entry(Kind.PDQ, PDQ),
        Entry(Kind.SHA256, PDQ),
        Entry(Kind.PDQ, PDQ),
    ]
    assert await table.add(again, START) == Imported(new=2, known=2)

    entries = await table.newest(Kind.MD5, suspended=False, count=10, now=START)
    assert [(entry.hash, entry.note) for entry in entries] == [(MD5, "first")]
    assert await table.size(None, suspended=False) == 3


async def test_nothing_of_a_faulty_file_is_imported(table: BlockListTable) -> None:
    def entries() -> Iterator[Entry]:
        yield Entry(Kind.MD5, MD5)
        raise ConfigurationError("list:2: hash: no")

    with pytest.raises(ConfigurationError, match="list:2"):
        await table.add(entries(), START)

    assert await table.size(None, suspended=False) == 0


async def test_a_hash_is_removed_as_one_kind_or_as_any(table: BlockListTable) -> None:
    await table.add([Entry(Kind.SHA256, PDQ), Entry(Kind.PDQ, PDQ), Entry(Kind.MD5, MD5)], START)

    assert await table.remove(Kind.PDQ, PDQ) == 1
    assert await table.remove(Kind.PDQ, PDQ) == 0
    assert await hashes_listed(table) == [MD5, PDQ]
    await table.add([Entry(Kind.PDQ, PDQ)], START)
    assert await table.remove(None, PDQ) == 2
    assert await hashes_listed(table) == [MD5]


async def test_items_match_by_each_kind(table: BlockListTable, block_list: BlockList) -> None:
    await table.add([Entry(Kind.SHA256, SHA256, "terror"), Entry(Kind.MD5, MD5), Entry(Kind.PDQ, PDQ)], START)

    found = await matched(
        block_list,
        item(sha256=SHA256),
        item(md5=MD5),
        item(pdq=NEAR_PDQ),
        item(SHA256[::-1], MD5[::-1], "f" * 64),
    )

    assert found == [
        Match(Kind.SHA256, SHA256, "terror"),
        Match(Kind.MD5, MD5, ""),
        Match(Kind.PDQ, PDQ, "", distance=4),
        None,
    ]
    assert [match.reason for match in found if match] == [
        "block_list: sha256 abababababab (terror)",
        "block_list: md5 cdcdcdcdcdcd",
        "block_list: pdq 0f0f0f0f0f0f distance 4",
    ]


async def test_a_hash_counts_only_as_the_kind_that_it_is(
    table: BlockListTable, block_list: BlockList
) -> None:
    await table.add([Entry(Kind.PDQ, PDQ)], START)

    assert await matched(block_list, item(sha256=PDQ)) == [None]


async def test_any_of_the_orientations_matches(table: BlockListTable, block_list: BlockList) -> None:
    await table.add([Entry(Kind.PDQ, PDQ)], START)
    turned = Candidate(uuid4(), frozenset(), frozenset(), ("f" * 64, PDQ, "0" * 64))

    assert await matched(block_list, turned) == [Match(Kind.PDQ, PDQ, "")]


async def test_the_most_exact_match_is_named(table: BlockListTable, block_list: BlockList) -> None:
    await table.add([Entry(Kind.PDQ, NEAR_PDQ), Entry(Kind.PDQ, NEARER_PDQ)], START)
    assert await matched(block_list, item(SHA256, MD5, PDQ)) == [Match(Kind.PDQ, NEARER_PDQ, "", distance=1)]

    await table.add([Entry(Kind.MD5, MD5)], START)
    assert await matched(block_list, item(SHA256, MD5, PDQ)) == [Match(Kind.MD5, MD5, "")]

    await table.add([Entry(Kind.SHA256, SHA256)], START)
    assert await matched(block_list, item(SHA256, MD5, PDQ)) == [Match(Kind.SHA256, SHA256, "")]


async def test_no_candidates_match_nothing(table: BlockListTable, block_list: BlockList) -> None:
    await table.add([Entry(Kind.SHA256, SHA256)], START)

    assert await block_list.matches([]) == {}
    assert await matched(block_list, item()) == [None]


async def test_pdq_is_of_use_only_while_an_entry_is_obeyed(
    table: BlockListTable, block_list: BlockList, pool: "Pool"
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256)], START)
    assert not await block_list.has_pdq()

    await table.add([Entry(Kind.PDQ, PDQ)], START)
    assert await block_list.has_pdq()

    await pool.execute("update hash_block_list set suspended_at = now()")
    assert not await block_list.has_pdq()

    await table.resume(None, PDQ, START)
    assert await block_list.has_pdq()

    await table.remove(None, PDQ)
    assert not await block_list.has_pdq()


async def test_what_others_change_is_seen_in_the_next_window(
    table: BlockListTable, block_list: BlockList, pool: "Pool"
) -> None:
    assert await matched(block_list, item(pdq=PDQ)) == [None]

    await table.add([Entry(Kind.PDQ, NEAR_PDQ)], START)
    assert await matched(block_list, item(pdq=PDQ)) == [Match(Kind.PDQ, NEAR_PDQ, "", distance=4)]

    await table.add([Entry(Kind.PDQ, PDQ)], START)
    assert await matched(block_list, item(pdq=PDQ)) == [Match(Kind.PDQ, PDQ, "")]

    await pool.execute("delete from hash_block_list where hash = $1", PDQ)
    assert await matched(block_list, item(pdq=PDQ)) == [Match(Kind.PDQ, NEAR_PDQ, "", distance=4)]

    await pool.execute("truncate hash_block_list cascade")
    assert await matched(block_list, item(pdq=PDQ)) == [None]


async def test_an_import_under_way_hides_no_later_entry(
    table: BlockListTable, block_list: BlockList, pool: "Pool"
) -> None:
    """An entry that is committed after a younger one is seen all the same."""
    async with pool.acquire() as connection:
        importing = connection.transaction()
        await importing.start()
        await connection.fetchval("select nextval('hash_block_list_id_seq')")  # an id that comes later
        await table.add([Entry(Kind.PDQ, NEAR_PDQ)], START)
        assert await matched(block_list, item(pdq=PDQ)) == [Match(Kind.PDQ, NEAR_PDQ, "", distance=4)]
        await connection.execute(
            """insert into hash_block_list (id, kind, hash, added_at) overriding system value
               values (1, 'pdq', $1, now())""",
            PDQ,
        )
        await importing.commit()

    assert await matched(block_list, item(pdq=PDQ)) == [Match(Kind.PDQ, PDQ, "")]


async def test_the_hashes_are_loaded_again_only_after_a_change(
    table: BlockListTable, block_list: BlockList, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def counted(ids: bytes, hashes: bytes) -> PdqIndex:
        loaded.append(len(ids) // 8)
        return PdqIndex(ids, hashes)

    monkeypatch.setattr("streams.pdq_index.PdqIndex", counted)
    await table.add([Entry(Kind.PDQ, PDQ)], START)
    for _ in range(3):
        await matched(block_list, item(pdq=PDQ))
    assert loaded == [1]

    await table.add([Entry(Kind.PDQ, NEAR_PDQ)], START)
    async with pool.acquire() as connection:
        locking = connection.transaction()
        await locking.start()
        await connection.execute("lock table hash_block_list in access exclusive mode")
        windows = [asyncio.create_task(matched(block_list, item(pdq="f" * 64))) for _ in range(3)]
        await until_somebody_waits_for_a_lock(pool)
        await locking.rollback()
    async with asyncio.timeout(10):
        await asyncio.gather(*windows)
    assert loaded == [1, 2]


async def test_long_lists_are_loaded_in_pages(
    table: BlockListTable, block_list: BlockList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.block_list.PAGE", 2)
    hashes = [f"{number:02x}" * 32 for number in range(5)]
    await table.add([Entry(Kind.PDQ, digits) for digits in hashes], START)

    found = await matched(block_list, *(item(pdq=digits) for digits in hashes))

    assert [match.hash for match in found if match] == hashes


async def test_matches_are_counted_once_an_item(
    table: BlockListTable, block_list: BlockList, clock: Clock
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256), Entry(Kind.PDQ, PDQ)], START)
    repeated = item(sha256=SHA256, pdq=PDQ)
    for _ in range(MAX_MATCHES + 2):
        assert await matched(block_list, repeated, repeated) == [Match(Kind.SHA256, SHA256, "")] * 2
    clock.time += timedelta(hours=2)
    await matched(block_list, item(sha256=SHA256))

    pdq, sha256 = await table.newest(None, suspended=False, count=10, now=clock.time)
    assert (sha256.matches_last_hour, sha256.matches) == (1, 2)
    assert (pdq.matches_last_hour, pdq.matches) == (0, 1)


async def test_every_entry_that_an_item_matches_is_counted(
    table: BlockListTable, block_list: BlockList
) -> None:
    await table.add([Entry(Kind.PDQ, PDQ), Entry(Kind.PDQ, NEAR_PDQ), Entry(Kind.MD5, MD5)], START)

    await matched(block_list, item(SHA256, MD5, PDQ))

    entries = await table.newest(None, suspended=False, count=10, now=START)
    assert [entry.matches for entry in entries] == [1, 1, 1]


async def test_an_entry_that_matches_too_much_is_suspended_and_not_obeyed(
    table: BlockListTable, block_list: BlockList
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256, "a logo")], START)
    suspended = sample("mediagate_block_list_suspended_total")
    of_kind = sample("mediagate_block_list_matches_total", kind="sha256")
    first = item(sha256=SHA256)

    with capture_logs() as logs:
        window = await matched(block_list, first, *(item(sha256=SHA256) for _ in range(MAX_MATCHES + 1)))
        after = await matched(block_list, first, item(sha256=SHA256))

    assert [match is not None for match in window] == [True, True, True, False, False]
    assert after == [None, None]
    assert await hashes_listed(table, suspended=True) == [SHA256]
    (line,) = logs
    assert (line["log_level"], line["kind"], line["hash"], line["note"]) == (
        "error",
        "sha256",
        SHA256,
        "a logo",
    )
    assert sample("mediagate_block_list_suspended_total") == suspended + 1
    assert sample("mediagate_block_list_matches_total", kind="sha256") == of_kind + MAX_MATCHES


async def test_the_limit_is_of_an_hour(table: BlockListTable, block_list: BlockList, clock: Clock) -> None:
    await table.add([Entry(Kind.SHA256, SHA256)], START)
    for _ in range(3):
        found = await matched(block_list, *(item(sha256=SHA256) for _ in range(MAX_MATCHES)))
        assert None not in found
        clock.time += timedelta(hours=1)

    assert await hashes_listed(table, suspended=True) == []


async def test_workers_whose_clocks_differ_keep_to_the_limit(
    table: BlockListTable, block_list: BlockList, clock: Clock
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256)], START)
    await matched(block_list, *(item(sha256=SHA256) for _ in range(MAX_MATCHES)))
    clock.time -= timedelta(minutes=1)

    assert await matched(block_list, item(sha256=SHA256)) == [None]


async def test_an_item_matched_before_is_still_matched_when_it_comes_again(
    table: BlockListTable, block_list: BlockList, clock: Clock
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256)], START)
    early = [item(sha256=SHA256) for _ in range(MAX_MATCHES)]
    await matched(block_list, *early)
    clock.time += timedelta(minutes=59)

    assert None not in await matched(block_list, *early)
    clock.time += timedelta(hours=2)
    assert None not in await matched(block_list, *early)


async def test_a_resumed_entry_is_counted_anew(
    table: BlockListTable, block_list: BlockList, clock: Clock
) -> None:
    await table.add([Entry(Kind.PDQ, PDQ)], START)
    await matched(block_list, *(item(pdq=PDQ) for _ in range(MAX_MATCHES + 1)))
    assert await matched(block_list, item(pdq=PDQ)) == [None]

    clock.time += timedelta(minutes=1)
    assert await table.resume(Kind.PDQ, PDQ, clock.time) == 1
    assert await table.resume(Kind.PDQ, PDQ, clock.time) == 0
    clock.time += timedelta(minutes=1)

    found = await matched(block_list, *(item(pdq=PDQ) for _ in range(MAX_MATCHES)))
    assert None not in found
    found = await matched(block_list, item(pdq=PDQ))
    assert found == [None]


async def test_a_suspended_entry_hides_no_other(table: BlockListTable, block_list: BlockList) -> None:
    await table.add([Entry(Kind.SHA256, SHA256), Entry(Kind.PDQ, PDQ), Entry(Kind.PDQ, NEAR_PDQ)], START)
    await matched(block_list, *(item(sha256=SHA256) for _ in range(MAX_MATCHES + 1)))

    assert await matched(block_list, item(sha256=SHA256, pdq=PDQ)) == [Match(Kind.PDQ, PDQ, "")]


async def test_in_the_window_that_suspends_an_entry_another_one_still_decides(
    table: BlockListTable, block_list: BlockList
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256), Entry(Kind.MD5, MD5)], START)
    await matched(block_list, *(item(sha256=SHA256) for _ in range(MAX_MATCHES)))

    assert await matched(block_list, item(sha256=SHA256, md5=MD5)) == [Match(Kind.MD5, MD5, "")]


async def test_workers_at_once_go_over_the_limit_by_nothing(
    table: BlockListTable, pool: "Pool", clock: Clock
) -> None:
    await table.add([Entry(Kind.SHA256, SHA256), Entry(Kind.PDQ, PDQ)], START)
    workers = [BlockList(pool, MAX_MATCHES, clock) for _ in range(6)]

    windows = await asyncio.gather(
        *(
            matched(worker, item(sha256=SHA256), item(sha256=SHA256), item(pdq=PDQ), item(pdq=PDQ))
            for worker in workers
        )
    )

    kinds = [match.kind for window in windows for match in window if match]
    assert sorted(kinds) == [Kind.PDQ] * MAX_MATCHES + [Kind.SHA256] * MAX_MATCHES


async def test_an_entry_removed_while_it_matches_is_not_obeyed(
    table: BlockListTable, block_list: BlockList, pool: "Pool"
) -> None:
    await table.add([Entry(Kind.PDQ, PDQ)], START)
    assert await block_list.has_pdq()
    async with pool.acquire() as connection:
        removing = connection.transaction()
        await removing.start()
        await connection.execute("delete from hash_block_list")
        matching = asyncio.create_task(matched(block_list, item(pdq=PDQ)))
        await until_somebody_waits_for_a_lock(pool)
        await removing.commit()

    async with asyncio.timeout(10):
        assert await matching == [None]


async def test_a_database_that_is_away_is_transient(pool: "Pool", block_list: BlockList) -> None:
    await pool.close()

    with pytest.raises(TransientError, match="PostgreSQL"):
        await block_list.has_pdq()
    with pytest.raises(TransientError, match="PostgreSQL"):
        await block_list.matches([item(sha256=SHA256)])


async def test_a_load_that_breaks_off_is_made_good(
    table: BlockListTable, block_list: BlockList, pool: "Pool"
) -> None:
    await table.add([Entry(Kind.PDQ, PDQ)], START)
    async with pool.acquire() as connection:
        locking = connection.transaction()
        await locking.start()
        await connection.execute("lock table hash_block_list in access exclusive mode")
        loading = asyncio.create_task(block_list.has_pdq())
        waiting = await until_somebody_waits_for_a_lock(pool)
        await pool.execute("select pg_terminate_backend($1)", waiting)
        with pytest.raises(TransientError):
            await loading
        await locking.rollback()

    assert await matched(block_list, item(pdq=PDQ)) == [Match(Kind.PDQ, PDQ, "")]


async def until_somebody_waits_for_a_lock(pool: "Pool") -> int:
    """The process id of a session of this database that waits."""
    async with asyncio.timeout(10):
        while True:
            waiting = await pool.fetchval(
                """select pid from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'"""
            )
            if waiting is not None:
                return int(waiting)
            await asyncio.sleep(0.02)
