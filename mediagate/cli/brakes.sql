-- Safety brakes, as an operator sees them. The clock is always an argument.

-- name: brakes(everything)
select media_type, outcome, share, low, high, decisions, engaged_at, resumed_at
from brakes
where :everything or resumed_at is null
order by engaged_at;

-- name: resume(stream, outcome, now)!
update brakes set resumed_at = :now
where media_type = :stream and outcome = :outcome and resumed_at is null;
