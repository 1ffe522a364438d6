-- Who did what, and why. The clock is always an argument.

-- name: insert(at, operator, action, subject, details)$
insert into operator_actions (at, operator, action, subject, details)
values (:at, :operator, :action, :subject, :details)
returning id;

-- name: add(id, details)!
update operator_actions set details = details || :details where id = :id;

-- name: of_subject(subject)
select at, operator, action, details from operator_actions where subject = :subject order by id;
