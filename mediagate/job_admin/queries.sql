-- What operators ask about jobs, and do to them. The clock is always an argument.

-- name: jobs(states, media_type, user_id, since, until, before, batch)
-- Those that have been in their state for the longest time; with each, how many are meant in all, by state.
with dated as (
    select media_jobs.*, case
        when state = 'awaiting_upload' then created_at
        when state = 'queued' then coalesce(queued_at, created_at)
        when state in ('approved', 'rejected', 'needs_review') then coalesce(decided_at, created_at)
        else coalesce(finished_at, decided_at, created_at)
    end as since
    from media_jobs
    where state = any(cast(:states as text[]))
      and (cast(:media_type as text) is null or mime_type like :media_type || '/%')
      and (cast(:user_id as text) is null or user_id = :user_id)
      and (cast(:since as timestamptz) is null or created_at >= :since)
      and (cast(:until as timestamptz) is null or created_at < :until)
), meant as (
    select * from dated where cast(:before as timestamptz) is null or since < :before
), counted as (
    select state, count(*) as jobs from meant group by state
)
select *, (select jsonb_object_agg(state, jobs) from counted) as by_state
from meant order by since, media_id limit :batch;

-- name: job(media_id)^
select job.*, item.bucket as item_bucket, item.key as item_key, report.bucket as report_bucket,
    report.key as report_key, case
        when job.state = 'awaiting_upload' then job.created_at
        when job.state = 'queued' then coalesce(job.queued_at, job.created_at)
        when job.state in ('approved', 'rejected', 'needs_review') then coalesce(job.decided_at, job.created_at)
        else coalesce(job.finished_at, job.decided_at, job.created_at)
    end as since
from media_jobs as job
left join media_items as item using (media_id)
left join system_reports as report using (media_id)
where media_id = :media_id;

-- name: start_attempt(media_id, attempts, now)^
-- As recovery does it; no row where the job is queued no more, or somebody else has just tried again.
update media_jobs set attempts = :attempts, last_attempt_at = :now
where media_id = :media_id and state = 'queued' and attempts = :attempts - 1
returning media_id;

-- name: mark_published(media_id, now)!
update media_jobs set event_published_at = :now where media_id = :media_id and event_published_at is null;
