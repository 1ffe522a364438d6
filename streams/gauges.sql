-- What metrics show of media_jobs.

-- name: oldest_per_state()
-- Since when the job that has been in its state for the longest time has been in it.
select state, min(case state
    when 'awaiting_upload' then created_at
    when 'queued' then queued_at
    else decided_at
end) as since
from media_jobs
where state in ('awaiting_upload', 'queued', 'approved', 'rejected')
group by state;
