-- What scanners said of known bytes, and who is asking them right now. The clock is always an argument.

-- name: known(hashes, scanners, versions)
select verdicts.sha256, verdicts.scanner, verdicts.model_version, verdicts.scores
from unnest(cast(:scanners as text[]), cast(:versions as text[])) as asked (scanner, model_version)
join verdicts using (scanner, model_version)
where verdicts.sha256 = any(cast(:hashes as text[]));

-- name: store(hashes, scanner, model_version, scores, now)!
insert into verdicts (sha256, scanner, model_version, scores, created_at)
select said.sha256, :scanner, :model_version, said.scores, :now
from unnest(cast(:hashes as text[]), cast(:scores as jsonb[])) as said (sha256, scores)
on conflict (sha256, scanner, model_version) do nothing;

-- name: forget(scanner, since)!
delete from verdicts where scanner = :scanner and created_at >= :since;

-- name: claim(names)
-- Those of the names that nobody else holds; they are held until the session gives them back.
select name from unnest(cast(:names as text[])) as name where pg_try_advisory_lock(hashtextextended(name, 0));

-- name: await_claim(name)$
-- Returns once nobody holds the name.
select pg_advisory_lock(hashtextextended(:name, 0));
