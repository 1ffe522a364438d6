"""Alembic's entry point: migrates over the connection it is handed."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.execute("select pg_advisory_xact_lock(7261984)")  # one migration at a time, whoever starts it
    context.run_migrations()
