"""Alembic's environment: runs a service's revisions over asyncpg, one process at a time."""

import asyncio
import importlib
import time

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database import driver_url

_LOCK = 7_216_094_511
"""The advisory lock of migrations, in each database."""
_ASK_SECONDS = 0.1


def _run(connection: Connection, service: str) -> None:
    store = importlib.import_module(f"services.{service}.store")
    # Replicas that start together migrate one after the other. The lock is the session's: Alembic
    # may commit between revisions. It is asked for again and again: a statement that waits for it would keep
    # an index from being built beside it, and that would keep the lock.
    while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar():
        connection.commit()
        time.sleep(_ASK_SECONDS)
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
