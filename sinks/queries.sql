-- What a decision does to the records of its upload. The clock is always an argument.

-- name: limit_silence(longest)$
-- The session of a worker that hangs goes after `longest`: idle, or (from PostgreSQL 17 on) between the two
-- messages that prepare a statement, where it counts as a transaction. Its locks go with it.
select count(set_config(limits.name, :longest, false)) from pg_settings as limits
where limits.name in ('idle_session_timeout', 'transaction_timeout');

-- name: lock_job(name)$
-- One worker at a time carries out decisions on an upload. The lock is the session's and goes with it.
select pg_advisory_lock(hashtextextended(:name, 0));

-- name: lock_jobs(names)
-- Those of the names that nobody else holds; they are held until the session gives them back.
select name from unnest(cast(:names as text[])) as name where pg_try_advisory_lock(hashtextextended(name, 0));

-- name: unlock_jobs(names)$
select count(pg_advisory_unlock(hashtextextended(name, 0))) from unnest(cast(:names as text[])) as name;

-- name: insert_jobs(jobs)!
-- Rows of uploads that never passed the gateway; their events are published: decisions answer them.
insert into media_jobs (
    media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id, bucket, key,
    etag, state, created_at, queued_at, event_published_at, attempts
)
select media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id, bucket,
       key, etag, 'queued', occurred_at, occurred_at, occurred_at, 1
from jsonb_to_recordset(cast(:jobs as jsonb)) as job (
    media_id uuid, user_id text, file_name text, file_size bigint, mime_type text, sha256 text, md5 text,
    linked_to_type text, linked_to_id text, bucket text, key text, etag text, occurred_at timestamptz
)
on conflict (media_id) do nothing;

-- name: jobs(media_ids)
select media_jobs.*, report.bucket as report_bucket, report.key as report_key
from media_jobs left join system_reports as report using (media_id)
where media_id = any(cast(:media_ids as uuid[]));

-- name: decide(media_ids, etags, states, decisions, times)
-- The first final decision on an upload wins; no row where there is one already.
update media_jobs
set state = said.state, decision = said.decision, decided_at = said.at,
    etag = coalesce(media_jobs.etag, said.etag), queued_at = coalesce(media_jobs.queued_at, said.at),
    finished_at = case when said.state = 'unscannable' then said.at end
from unnest(
    cast(:media_ids as uuid[]), cast(:etags as text[]), cast(:states as text[]), cast(:decisions as jsonb[]),
    cast(:times as timestamptz[])
) as said (media_id, etag, state, decision, at)
where media_jobs.media_id = said.media_id and media_jobs.state in ('awaiting_upload', 'queued')
returning media_jobs.*;

-- name: reserve(media_ids, buckets, keys)
-- Those that have their place now: one upload a place, and whoever has it already keeps it. Fails where another
-- session takes one meanwhile: the pair is unique.
update media_jobs
set destination_bucket = place.bucket, destination_key = place.key
from (
    select distinct on (bucket, key) media_id, bucket, key
    from unnest(cast(:media_ids as uuid[]), cast(:buckets as text[]), cast(:keys as text[]))
        as wanted (media_id, bucket, key)
    order by bucket, key, not exists (
        select from media_jobs as holder
        where holder.media_id = wanted.media_id
            and holder.destination_bucket = wanted.bucket and holder.destination_key = wanted.key
    )
) as place
where media_jobs.media_id = place.media_id and media_jobs.state = 'approved' and not exists (
    select from media_jobs as other
    where other.destination_bucket = place.bucket and other.destination_key = place.key
        and other.media_id <> place.media_id
)
returning media_jobs.media_id;

-- name: approved(media_ids)
select media_id from media_jobs where media_id = any(cast(:media_ids as uuid[])) and state = 'approved';

-- name: publish(media_ids, mime_types, widths, heights, durations, times)
-- Item and state, or neither. Each end is later than the one before, whatever the workers' clocks say.
with seen as (
    select * from unnest(
        cast(:media_ids as uuid[]), cast(:mime_types as text[]), cast(:widths as integer[]),
        cast(:heights as integer[]), cast(:durations as double precision[]), cast(:times as timestamptz[])
    ) as seen (seen_id, seen_mime_type, width, height, duration, at)
), published as (
    update media_jobs
    set state = 'published', finished_at = greatest(seen.at, finished_at + interval '1 microsecond')
    from seen
    where media_id = seen_id and state = 'approved'
    returning *
), item as (
    insert into media_items (
        media_id, user_id, linked_to_type, linked_to_id, file_name, mime_type, file_size, sha256, width, height,
        duration, bucket, key, created_at
    )
    select media_id, user_id, linked_to_type, linked_to_id, file_name, seen_mime_type, file_size, sha256, width,
           height, duration, destination_bucket, destination_key, finished_at
    from published
)
select media_id, finished_at, destination_bucket, destination_key from published;

-- name: quarantine(reports)
-- Report and state, or neither.
with said as (
    select * from jsonb_to_recordset(cast(:reports as jsonb)) as said (
        said_id uuid, reason text, reasons jsonb, scores jsonb, scanner text, model_version text,
        policy_version text, place_bucket text, place_key text, at timestamptz
    )
), quarantined as (
    update media_jobs
    set state = 'quarantined', finished_at = greatest(said.at, finished_at + interval '1 microsecond')
    from said
    where media_id = said_id and state = 'rejected'
    returning *
), report as (
    insert into system_reports (
        media_id, reason, reasons, scores, scanner, model_version, policy_version, bucket, key, created_at
    )
    select media_id, reason, reasons, scores, scanner, model_version, policy_version, place_bucket, place_key,
           finished_at
    from quarantined
)
select media_id, finished_at, destination_bucket, destination_key, place_bucket as report_bucket,
       place_key as report_key
from quarantined;

-- name: give_up(media_id, decision, now)^
-- The bytes that were decided on are gone: nothing can be done with them, and no name is kept that was never public.
update media_jobs
set state = 'unscannable', decision = :decision, finished_at = :now,
    destination_bucket = case when ended_by is not null then destination_bucket end,
    destination_key = case when ended_by is not null then destination_key end
where media_id = :media_id and state in ('approved', 'rejected')
returning *;

-- name: replace(media_id, former, state, decision, override, ended_by, bucket, key, etag, now)^
-- Both or neither: the former end's record goes, and the job is on its way from where its object stands.
with item as (
    delete from media_items where media_id = :media_id
), report as (
    delete from system_reports where media_id = :media_id
)
update media_jobs
set state = :state, decision = coalesce(:decision, decision), override = coalesce(:override, override),
    ended_by = :ended_by, source_bucket = :bucket, source_key = :key, source_etag = :etag,
    decided_at = :now,
    finished_at = case when :state = 'unscannable' then greatest(:now, finished_at) else finished_at end
where media_id = :media_id and state = :former
returning *;

-- name: note(media_id, override)!
update media_jobs set override = :override where media_id = :media_id;

-- name: pass_over(media_id, decision_id)!
-- A rescan's decision that moves nothing shall move nothing when it is read again behind others.
update media_jobs
set decision = jsonb_set(
    decision, '{replaced}', coalesce(decision -> 'replaced', '[]') || to_jsonb(cast(:decision_id as text))
)
where media_id = :media_id;

-- name: ping()$
select 1;
