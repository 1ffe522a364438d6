"""What operators do, and uploads whose decision is replaced."""

from alembic import op

from mediagate.migrations.statements import execute

revision = "0004"
down_revision = "0003"

UPGRADE = """
create table operator_actions (
    id              bigint generated always as identity primary key,
    at              timestamptz not null,
    operator        text not null,
    action          text not null,
    subject         text not null,
    details         jsonb not null
);
create index operator_actions_by_subject on operator_actions (subject, id);
comment on column operator_actions.subject is 'A media_id, or TOPIC:PARTITION:OFFSET of a record';

alter table media_jobs
    add column override      jsonb,
    add column source_bucket text,
    add column source_key    text,
    add column source_etag   text,
    add column ended_by      jsonb;
comment on column media_jobs.override is
    'The last human override that was carried out: no decision of the pipeline replaces it';
comment on column media_jobs.source_bucket is
    'Where the object stood when its decision was replaced; null: where it was uploaded to';
comment on column media_jobs.ended_by is
    'The override or rescan that replaced the decision last; null: the first decision stands';
create index media_jobs_waiting on media_jobs (state, decided_at)
    where state in ('needs_review', 'unscannable');
"""

DEAD_LETTERS = """
create index operator_actions_by_target on operator_actions ((details ->> 'to'))
    where action = 'dlq.redrive';

alter table brakes drop constraint brakes_outcome_check;
alter table brakes add constraint brakes_outcome_check
    check (outcome in ('approved', 'rejected', 'dead_letter'));
comment on column brakes.media_type is 'Or, of a brake on the sinks'' dead letters, a topic';
"""

NO_DEAD_LETTERS = """
delete from brakes where outcome = 'dead_letter';
alter table brakes drop constraint brakes_outcome_check;
alter table brakes add constraint brakes_outcome_check check (outcome in ('approved', 'rejected'));
comment on column brakes.media_type is null;
"""


def upgrade() -> None:
    """Makes the table and the columns."""
    execute(UPGRADE)
    execute(DEAD_LETTERS)


def downgrade() -> None:
    """Drops them."""
    execute(NO_DEAD_LETTERS)
    op.execute("drop table operator_actions")
    op.execute("drop index media_jobs_waiting")
    for column in ("override", "source_bucket", "source_key", "source_etag", "ended_by"):
        op.execute(f"alter table media_jobs drop column {column}")
