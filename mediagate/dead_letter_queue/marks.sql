-- What became of dead letters, as operator_actions tells. The clock is always an argument.

-- name: latest(subjects)
-- A redrive counts once Kafka has acknowledged it.
select distinct on (subject) subject, action, at, operator
from operator_actions
where subject = any(cast(:subjects as text[])) and (action = 'dlq.discard' or details ->> 'to' is not null)
order by subject, id desc;

-- name: insert(at, operator, action, subjects, details)
insert into operator_actions (at, operator, action, subject, details)
select :at, :operator, :action, told.subject, told.details
from unnest(cast(:subjects as text[]), cast(:details as jsonb[])) as told (subject, details)
returning id, subject;

-- name: arrived(ids, targets)!
update operator_actions set details = details || jsonb_build_object('to', told.target)
from unnest(cast(:ids as bigint[]), cast(:targets as text[])) as told (id, target)
where operator_actions.id = told.id;

-- name: earlier(origins)
-- The redrives that made records which became these letters, the latest first.
with recursive earlier as (
    select asked.origin as of, 1 as depth, subject, at, operator, details
    from unnest(cast(:origins as text[])) as asked (origin)
    join operator_actions on action = 'dlq.redrive' and details ->> 'to' = asked.origin
    union all
    select earlier.of, earlier.depth + 1, former.subject, former.at, former.operator, former.details
    from earlier
    join operator_actions as former
        on former.action = 'dlq.redrive' and former.details ->> 'to' = earlier.details ->> 'origin'
    where earlier.depth < 100
)
select of, subject, at, operator, details from earlier order by of, depth;
