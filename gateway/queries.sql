-- name: insert_jobs(media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id, bucket, key, caller, idempotency_key, request_fingerprint, created_at, url_expires_at)
-- New jobs, each argument their column; no row where the caller used the idempotency key before.
insert into media_jobs (
    media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id,
    bucket, key, caller, idempotency_key, request_fingerprint, created_at, url_expires_at, state
)
select job.*, 'awaiting_upload'
from unnest(
    :media_id::uuid[], :user_id::text[], :file_name::text[], :file_size::bigint[], :mime_type::text[],
    :sha256::text[], :md5::text[], :linked_to_type::text[], :linked_to_id::text[], :bucket::text[],
    :key::text[], :caller::text[], :idempotency_key::text[], :request_fingerprint::text[],
    :created_at::timestamptz[], :url_expires_at::timestamptz[]
) as job
on conflict (caller, idempotency_key) do nothing
returning media_id;

-- name: job_by_idempotency_key(caller, idempotency_key)^
-- The job that a caller asked for under this key.
select * from media_jobs where caller = :caller and idempotency_key = :idempotency_key;

-- name: renew_url(media_id, url_expires_at)!
-- Notes that the upload URL was signed anew.
update media_jobs set url_expires_at = greatest(url_expires_at, :url_expires_at)
where media_id = :media_id and state = 'awaiting_upload';

-- name: job(media_id)^
-- One job.
select * from media_jobs where media_id = :media_id;

-- name: queue_job(media_id, etag, checksum_verified, now)^
-- Accepts the uploaded bytes; no row where the job was no longer waiting for them.
-- The event that follows is its first attempt.
update media_jobs
set state = 'queued', etag = :etag, checksum_verified = :checksum_verified, queued_at = :now,
    attempts = 1, last_attempt_at = :now
where media_id = :media_id and state = 'awaiting_upload'
returning *;

-- name: mark_event_published(media_id, now)!
-- Kafka has acknowledged the job's event: recovery owes it no longer.
update media_jobs set event_published_at = :now where media_id = :media_id and event_published_at is null;

-- name: item(media_id)^
-- The published object of a job.
select bucket, key, file_name, mime_type, file_size, sha256, width, height, duration, created_at
from media_items where media_id = :media_id;

-- name: ping()$
-- Whether the database answers.
select 1;
