-- What a decision does to the records of its upload. The clock is always an argument.

-- name: lock_job(name, longest)$
-- One worker at a time carries out decisions on an upload. The lock is the session's and goes with it,
-- and the session of a worker that hangs goes after `longest`: idle, or (from PostgreSQL 17 on) between the
-- two messages that prepare a statement, where it counts as a transaction.
select pg_advisory_lock(hashtextextended(:name, 0)), (
    select count(set_config(limits.name, :longest, false)) from pg_settings as limits
    where limits.name in ('idle_session_timeout', 'transaction_timeout')
);

-- name: insert_job(media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id, bucket, key, etag, occurred_at)!
-- The row of an upload that never passed the gateway; its event is published: a decision answers it.
insert into media_jobs (
    media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id, bucket, key,
    etag, state, created_at, queued_at, event_published_at, attempts
) values (
    :media_id, :user_id, :file_name, :file_size, :mime_type, :sha256, :md5, :linked_to_type, :linked_to_id,
    :bucket, :key, :etag, 'queued', :occurred_at, :occurred_at, :occurred_at, 1
)
on conflict (media_id) do nothing;

-- name: job(media_id)^
select media_jobs.*, report.bucket as report_bucket, report.key as report_key
from media_jobs left join system_reports as report using (media_id)
where media_id = :media_id;

-- name: decide(media_id, etag, state, decision, now)^
-- The first final decision wins; no row where there is one already.
update media_jobs
set state = :state, decision = :decision, decided_at = :now,
    etag = coalesce(etag, :etag), queued_at = coalesce(queued_at, :now),
    finished_at = case when :state = 'unscannable' then cast(:now as timestamptz) end
where media_id = :media_id and state in ('awaiting_upload', 'queued')
returning *;

-- name: reserve(media_id, bucket, key)^
-- Fails where the name is another upload's: the pair is unique.
update media_jobs
set destination_bucket = :bucket, destination_key = :key
where media_id = :media_id and state = 'approved'
returning *;

-- name: publish(media_id, mime_type, width, height, duration, now)^
-- The item and the state, or neither. Each end is later than the one before, whatever the workers' clocks say.
with published as (
    update media_jobs
    set state = 'published', finished_at = greatest(:now, finished_at + interval '1 microsecond')
    where media_id = :media_id and state = 'approved'
    returning *
), item as (
    insert into media_items (
        media_id, user_id, linked_to_type, linked_to_id, file_name, mime_type, file_size, sha256, width, height,
        duration, bucket, key, created_at
    )
    select media_id, user_id, linked_to_type, linked_to_id, file_name, :mime_type, file_size, sha256, :width,
           :height, :duration, destination_bucket, destination_key, finished_at
    from published
)
select * from published;

-- name: quarantine(media_id, reason, reasons, scores, scanner, model_version, policy_version, bucket, key, now)^
-- The report and the state, or neither.
with quarantined as (
    update media_jobs
    set state = 'quarantined', finished_at = greatest(:now, finished_at + interval '1 microsecond')
    where media_id = :media_id and state = 'rejected'
    returning *
), report as (
    insert into system_reports (
        media_id, reason, reasons, scores, scanner, model_version, policy_version, bucket, key, created_at
    )
    select media_id, :reason, :reasons, :scores, :scanner, :model_version, :policy_version, :bucket, :key, finished_at
    from quarantined
    returning bucket as report_bucket, key as report_key
)
select * from quarantined, report;

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
