"""Signed URLs that outlive their upload."""

from alembic import op

from mediagate.migrations.statements import execute

revision = "0003"
down_revision = "0002"

UPGRADE = """
create index media_jobs_ended_urls on media_jobs (url_expires_at)
    where url_expires_at is not null and state in ('published', 'quarantined', 'expired');
comment on column media_jobs.url_expires_at is
    'Until when bytes may come by a signed URL; null: none was signed, or what came late is cleared away';
"""


def upgrade() -> None:
    """Makes the index by which recovery finds them."""
    execute(UPGRADE)


def downgrade() -> None:
    """Drops it."""
    op.execute("drop index media_jobs_ended_urls")
