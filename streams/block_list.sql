-- Items that match the block list. The clock is always an argument.

-- name: version()$
select version from hash_block_list_version;

-- name: pdq_page(after, count)^
-- Ids and hashes as bytes, in the same order; no `last` behind the end.
select
    max(id) as last,
    string_agg(int8send(id), '' order by id) as ids,
    string_agg(decode(hash, 'hex'), '' order by id) as hashes
from (
    select id, hash from hash_block_list
    where kind = 'pdq' and suspended_at is null and id > :after
    order by id
    limit :count
) as page;

-- name: exact(kinds, hashes)
select id, kind, hash
from unnest(cast(:kinds as text[]), cast(:hashes as text[])) as wanted (kind, hash)
join hash_block_list using (kind, hash)
where suspended_at is null;

-- name: lock(entry_ids)
-- In one order, so that no two workers wait for each other.
select id, kind, hash, note from hash_block_list
where id = any(cast(:entry_ids as bigint[])) and suspended_at is null
order by id
for no key update;

-- name: record(entry_ids, media_ids, now)!
insert into hash_block_matches (entry_id, media_id, matched_at)
select matched.entry_id, matched.media_id, :now
from unnest(cast(:entry_ids as bigint[]), cast(:media_ids as uuid[])) with ordinality
    as matched (entry_id, media_id, place)
order by matched.place
on conflict (entry_id, media_id) do nothing;

-- name: excess(entry_ids, since, allowed)
-- Matches beyond those allowed. What came before the entry was resumed is not counted.
select entry_id, media_id
from (
    select entry_id, media_id,
        row_number() over (partition by entry_id order by number) as place
    from hash_block_matches
    join hash_block_list on hash_block_list.id = entry_id
    where entry_id = any(cast(:entry_ids as bigint[])) and matched_at > greatest(:since, resumed_at)
) as recent
where place > :allowed;

-- name: suspend(entry_ids, now)!
update hash_block_list set suspended_at = :now where id = any(cast(:entry_ids as bigint[]));
