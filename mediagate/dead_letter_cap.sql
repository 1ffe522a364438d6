-- The brake on dead letters. The clock is always an argument.

-- name: engaged(stream)^
select share, decisions from brakes
where media_type = :stream and outcome = 'dead_letter' and resumed_at is null;

-- name: engage(stream, share, high, records, now)!
insert into brakes (media_type, outcome, share, low, high, decisions, engaged_at)
values (:stream, 'dead_letter', :share, 0, :high, :records, :now)
on conflict (media_type, outcome) where resumed_at is null do nothing;
