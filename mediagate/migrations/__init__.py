"""The database's schema, one revision a change; `mediagate migrate` brings a database to the newest."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from mediagate.errors import TransientError


def alembic_config() -> Config:
    """Alembic's configuration, without an .ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def engine_for(url: str) -> AsyncEngine:
    """An engine for migrations on asyncpg."""
    return create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)


async def migrate(url: str) -> None:
    """Brings the database to the newest revision; raises TransientError where it does not answer."""
    config = alembic_config()

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = engine_for(url)
    try:
        async with asyncio.timeout(60), engine.begin() as connection:
            await connection.run_sync(upgrade)
    except (OSError, TimeoutError, DBAPIError) as error:
        raise TransientError(f"PostgreSQL cannot be migrated: {_cause(error)}") from error
    finally:
        await engine.dispose()


def _cause(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (str(cause).splitlines() or [type(error).__name__])[0]
