-- Rows that are owed something. Every query takes the clock as an argument, and a bound on its rows.

-- name: try_lock()$
-- One worker sweeps at a time; the lock is the session's and goes with it.
select pg_try_advisory_lock(7261985);

-- name: unlock()$
select pg_advisory_unlock(7261985);

-- name: unpublished(before, made, media_id, batch)
-- Completed uploads whose event never reached Kafka: the row is the outbox. From behind a place on, in the
-- order of the index of unfinished rows.
select * from media_jobs
where state = 'queued' and event_published_at is null and queued_at < :before
  and (created_at, media_id) > (:made, :media_id)
order by created_at, media_id
limit :batch;

-- name: undecided(before, media_type, made, media_id, batch)
-- Queued rows that no decision answered in time, from behind a place on.
select * from media_jobs
where state = 'queued' and event_published_at is not null
  and coalesce(last_attempt_at, event_published_at) < :before
  and mime_type like :media_type || '/%'
  and (created_at, media_id) > (:made, :media_id)
order by created_at, media_id
limit :batch;

-- name: silent(before, batch)
-- Uploads that nobody completed and nobody has looked at since `before`.
select * from media_jobs
where state = 'awaiting_upload' and coalesce(last_attempt_at, created_at) < :before
order by created_at
limit :batch;

-- name: start_attempts(media_ids, now)
-- Those that are still queued.
update media_jobs
set attempts = attempts + 1, last_attempt_at = :now
where media_id = any(:media_ids) and state = 'queued'
returning *;

-- name: mark_published(media_ids, now)!
update media_jobs
set event_published_at = :now, attempts = greatest(attempts, 1)
where media_id = any(:media_ids) and event_published_at is null;

-- name: looked_at(media_ids, now)!
update media_jobs set last_attempt_at = :now where media_id = any(:media_ids);

-- name: complete(media_id, etag, checksum_verified, now)^
-- The same step as the gateway's upload-complete: whoever comes first makes it.
update media_jobs
set state = 'queued', etag = :etag, checksum_verified = :checksum_verified, queued_at = :now, last_attempt_at = null
where media_id = :media_id and state = 'awaiting_upload'
returning *;

-- name: expire(media_id, now)!
update media_jobs set state = 'expired', finished_at = :now
where media_id = :media_id and state = 'awaiting_upload';

-- name: ended_urls(before, batch)
-- Uploads at their end whose signed URL has ended since: by it the object may have been made once more.
select media_id, bucket, key from media_jobs
where state in ('published', 'quarantined', 'expired') and url_expires_at < :before
order by url_expires_at
limit :batch;

-- name: cleared(media_ids)!
update media_jobs set url_expires_at = null where media_id = any(:media_ids);
