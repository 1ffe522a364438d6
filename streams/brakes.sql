-- Safety brakes that are on. The clock is always an argument.

-- name: engaged(media_type, outcomes)
select outcome from brakes
where media_type = :media_type and outcome = any(cast(:outcomes as text[])) and resumed_at is null;

-- name: engage(media_type, outcome, share, low, high, decisions, now)!
insert into brakes (media_type, outcome, share, low, high, decisions, engaged_at)
values (:media_type, :outcome, :share, :low, :high, :decisions, :now)
on conflict (media_type, outcome) where resumed_at is null do nothing;
