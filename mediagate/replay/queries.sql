-- What a replay asks about uploads, and how far it came. The clock is always an argument.

-- name: jobs(media_ids)
select cast(media_id as text) as media_id, state, checksum_verified, bucket, key, etag,
    decision is not null as decided
from media_jobs
where media_id = any(cast(:media_ids as uuid[]));

-- name: places(media_ids)
-- Where objects of uploads at their end stand now; a copy's ETag is not kept.
select cast(job.media_id as text) as media_id, job.override is not null as overridden,
    coalesce(item.bucket, report.bucket, job.source_bucket, job.bucket) as bucket,
    coalesce(item.key, report.key, job.source_key, job.key) as key,
    case when item.key is null and report.key is null then coalesce(job.source_etag, job.etag) end as etag
from media_jobs as job
left join media_items as item on item.media_id = job.media_id and job.state = 'published'
left join system_reports as report on report.media_id = job.media_id and job.state = 'quarantined'
where job.media_id = any(cast(:media_ids as uuid[]));

-- name: newest_versions(scanners)
-- The model of each scanner that judged last.
select scanner, (
    select model_version from verdicts where verdicts.scanner = asked.scanner order by created_at desc limit 1
) as model_version
from unnest(cast(:scanners as text[])) as asked (scanner);

-- name: judged(hashes, scanners, versions)
select distinct verdicts.sha256
from unnest(cast(:scanners as text[]), cast(:versions as text[])) as asked (scanner, model_version)
join verdicts using (scanner, model_version)
where verdicts.sha256 = any(cast(:hashes as text[]));

-- name: last_run(action, subject)$
select details from operator_actions where action = :action and subject = :subject order by id desc limit 1;
