-- The block list as operators change it. The clock is always an argument.

-- name: stage()#
create temporary table staged_entries (kind text, hash text, note text) on commit drop;

-- name: add_staged(now)$
-- How many of them are new. One statement, for the list's version is locked from its end on.
with added as (
    insert into hash_block_list (kind, hash, note, added_at)
    select kind, hash, note, :now from staged_entries
    on conflict (kind, hash) do nothing
    returning id
)
select count(*) from added;

-- name: remove(kind, hash)$
with removed as (
    delete from hash_block_list
    where hash = :hash and kind = coalesce(cast(:kind as text), kind)
    returning id
)
select count(*) from removed;

-- name: resume(kind, hash, now)$
with resumed as (
    update hash_block_list set suspended_at = null, resumed_at = :now
    where hash = :hash and kind = coalesce(cast(:kind as text), kind) and suspended_at is not null
    returning id
)
select count(*) from resumed;

-- name: size(kind, suspended)$
select count(*) from hash_block_list
where kind = coalesce(cast(:kind as text), kind) and (suspended_at is not null or not :suspended);

-- name: newest(kind, suspended, count, since)
select kind, hash, note, added_at, suspended_at,
    (
        select count(*) from hash_block_matches where entry_id = id and matched_at > :since
    ) as matches_last_hour,
    (select count(*) from hash_block_matches where entry_id = id) as matches
from hash_block_list
where kind = coalesce(cast(:kind as text), kind) and (suspended_at is not null or not :suspended)
order by id desc
limit :count;
