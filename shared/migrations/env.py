"""Alembic's environment: runs a service's revisions over asyncpg, one process at a time."""

import asyncio
import importlib

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database import driver_url

_LOCK = 7_216_094_511
"""The advisory lock of migrations, in each database."""


def _run(connection: Connection, service: str) -> None:
    store = importlib.import_module(f"services.{service}.store")
    # Replicas that start together migrate one after the other. The lock is the session's: Alembic
    # may commit between revisions.
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=store.metadata, compare_server_default=False)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


async def _migrate() -> None:
    engine = create_async_engine(driver_url(context.config.attributes["url"]), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_run, context.config.attributes["service"])
    await engine.dispose()


asyncio.run(_migrate())
