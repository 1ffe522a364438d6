"""Known bytes and safety brakes."""

from alembic import op

from mediagate.migrations.statements import execute

revision = "0002"
down_revision = "0001"

UPGRADE = """
create table verdicts (
    sha256          text not null,
    scanner         text not null,
    model_version   text not null,
    scores          jsonb not null,
    created_at      timestamptz not null,
    primary key (sha256, scanner, model_version)
);
create index verdicts_by_time on verdicts using brin (created_at);
comment on table verdicts is
    'What a scanner said of bytes whose SHA-256 the object store itself had verified';

create table hash_block_list (
    id              bigint generated always as identity primary key,
    kind            text not null check (kind in ('sha256', 'md5', 'pdq')),
    hash            text not null
                    check (hash ~ (case kind when 'md5' then '^[0-9a-f]{32}$' else '^[0-9a-f]{64}$' end)),
    note            text not null default '',
    added_at        timestamptz not null,
    suspended_at    timestamptz,
    resumed_at      timestamptz,
    unique (kind, hash)
);
create index hash_block_list_pdq on hash_block_list (id) where kind = 'pdq' and suspended_at is null;
comment on column hash_block_list.suspended_at is
    'Since when the entry is not obeyed: it had matched more items in an hour than any sound entry would';
comment on column hash_block_list.resumed_at is 'Matches before are not counted any more';

create table hash_block_list_version (version bigint not null);
comment on table hash_block_list_version is 'One row, by which workers see that the list changed';
insert into hash_block_list_version values (0);
create function hash_block_list_changed() returns trigger language plpgsql as
    'begin update hash_block_list_version set version = version + 1; return null; end';
create trigger hash_block_list_changed after insert or update or delete or truncate on hash_block_list
    for each statement execute function hash_block_list_changed();

create table hash_block_matches (
    entry_id        bigint not null references hash_block_list on delete cascade,
    media_id        uuid not null,
    matched_at      timestamptz not null,
    number          bigint not null generated always as identity,
    primary key (entry_id, media_id)
);
comment on column hash_block_matches.number is 'Their order, whatever the workers'' clocks say';
create index hash_block_matches_recent on hash_block_matches (entry_id, matched_at);

create table brakes (
    id              bigint generated always as identity primary key,
    media_type      text not null,
    outcome         text not null check (outcome in ('approved', 'rejected')),
    share           double precision not null,
    low             double precision not null,
    high            double precision not null,
    decisions       integer not null,
    engaged_at      timestamptz not null,
    resumed_at      timestamptz
);
create unique index brakes_engaged on brakes (media_type, outcome) where resumed_at is null;
"""


def upgrade() -> None:
    """Makes the tables."""
    execute(UPGRADE)


def downgrade() -> None:
    """Drops the tables."""
    for table in ("brakes", "hash_block_matches", "hash_block_list", "hash_block_list_version", "verdicts"):
        op.execute(f"drop table {table}")
    op.execute("drop function hash_block_list_changed")
