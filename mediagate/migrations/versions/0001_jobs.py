"""Jobs, published items and reports."""

from alembic import op

from mediagate.migrations.statements import execute

revision = "0001"
down_revision = None

UPGRADE = """
create table media_jobs (
    media_id              uuid primary key,
    user_id               text not null,
    file_name             text not null,
    file_size             bigint not null check (file_size > 0),
    mime_type             text not null,
    sha256                text not null,
    md5                   text,
    linked_to_type        text not null,
    linked_to_id          text not null,
    bucket                text not null,
    key                   text not null,
    etag                  text,
    checksum_verified     boolean not null default false,
    state                 text not null check (state in (
                              'awaiting_upload', 'queued', 'approved', 'rejected', 'published',
                              'quarantined', 'needs_review', 'unscannable', 'expired')),
    decision              jsonb,
    destination_bucket    text,
    destination_key       text,
    caller                text,
    idempotency_key       text,
    request_fingerprint   text,
    attempts              integer not null default 0,
    created_at            timestamptz not null,
    url_expires_at        timestamptz,
    queued_at             timestamptz,
    event_published_at    timestamptz,
    last_attempt_at       timestamptz,
    decided_at            timestamptz,
    finished_at           timestamptz,
    unique (caller, idempotency_key),
    unique (destination_bucket, destination_key)
);
comment on column media_jobs.destination_key is
    'Reserved before the copy: the pair is unique, so that no published object is ever overwritten';
comment on column media_jobs.event_published_at is
    'When Kafka acknowledged the upload-completed event; null on a queued row: it is still owed';
create index media_jobs_unfinished on media_jobs (state, created_at)
    where state in ('awaiting_upload', 'queued', 'approved', 'rejected');

create table media_items (
    media_id        uuid primary key references media_jobs,
    user_id         text not null,
    linked_to_type  text not null,
    linked_to_id    text not null,
    file_name       text not null,
    mime_type       text not null,
    file_size       bigint not null,
    sha256          text not null,
    width           integer not null,
    height          integer not null,
    duration        double precision,
    bucket          text not null,
    key             text not null,
    created_at      timestamptz not null,
    unique (bucket, key)
);

create table system_reports (
    media_id        uuid primary key references media_jobs,
    reason          text not null,
    reasons         jsonb not null,
    scores          jsonb not null,
    scanner         text,
    model_version   text,
    policy_version  text,
    bucket          text not null,
    key             text not null,
    created_at      timestamptz not null
);
"""


def upgrade() -> None:
    """Makes the three tables."""
    execute(UPGRADE)


def downgrade() -> None:
    """Drops the three tables."""
    for table in ("system_reports", "media_items", "media_jobs"):
        op.execute(f"drop table {table}")
