"""The one environment of all migrations: several processes at once, there and back again."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from shared.migrations import check, downgrade, migrate
from tests.servers import AnyPostgres

ROOT = Path(__file__).parents[2]
SERVICES = ("scheduler", "clicks", "senders", "gateway")
MIGRATE = "import sys; from shared.migrations import migrate; migrate(*sys.argv[1:])"


async def empty_database(postgres: AnyPostgres, name: str) -> str:
    """Make an empty database and return its URL."""
    admin = await asyncpg.connect(postgres.url)
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()
    return f"{postgres.url.rpartition('/')[0]}/{name}"


async def tables(url: str) -> set[str]:
    """Return the names of a database's own tables."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_processes_that_start_together_migrate_once(postgres_server: AnyPostgres) -> None:
    """Replicas of `prepare` wait for each other; none fails because another was faster."""
    url = await empty_database(postgres_server, "migrated_together")

    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, "clicks", url, cwd=ROOT)
        for _ in range(3)
    ]

    assert [await process.wait() for process in started] == [0, 0, 0]
    assert "bus_attempts" in await tables(url)


@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_lead_to_the_declared_tables_and_back(
    postgres_server: AnyPostgres, service: str
) -> None:
    """What the revisions make is what the store declares; twice is once; the way back leaves nothing."""
    url = await empty_database(postgres_server, f"migrated_{service}")

    for step in (migrate, migrate, check):
        await asyncio.to_thread(step, service, url)
    assert "bus_attempts" in await tables(url)

    await asyncio.to_thread(downgrade, service, url)
    assert await tables(url) == {"alembic_version"}
