-- Decisions that the sinks have begun to carry out.

-- name: decided(media_ids)
select media_id, bucket, key, etag, decision from media_jobs
where media_id = any(cast(:media_ids as uuid[])) and decision is not null;
