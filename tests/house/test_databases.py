"""Databases that tests use one after another cannot be told from new ones."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.databases import Databases
from tests.servers import AnyPostgres


@pytest.fixture
async def databases(postgres_server: AnyPostgres) -> AsyncIterator[Databases]:
    """Databases beside those that tests are given."""
    made = Databases(postgres_server.url, prefix="beside_")
    yield made
    await made.close()


async def run(url: str, *statements: str) -> None:
    """Run statements in a database."""
    connection = await asyncpg.connect(url)
    for each in statements:
        await connection.execute(each)
    await connection.close()


async def test_databases_of_tests_are_empty_or_new(databases: Databases) -> None:
    """Rows and positions of sequences go; what was built otherwise, or is in use, is never used again."""
    first = await databases.take("clicks")
    columns = "(event_key, durable, starts, failures) VALUES ('k', 'd', 1, 0)"
    await run(first, f"INSERT INTO bus_attempts {columns}")
    await databases.give_back("clicks", first)

    assert await databases.take("clicks") == first
    connection = await asyncpg.connect(first)
    assert await connection.fetchval("SELECT count(*) FROM bus_attempts") == 0
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1

    await databases.give_back("clicks", first)
    second = await databases.take("clicks")
    assert second != first, "somebody is connected to it"
    await connection.close()
    for harm in (
        "ALTER TABLE bus_attempts ALTER COLUMN error SET DEFAULT 'x'",
        "DROP TABLE bus_attempts",
        "CREATE VIEW added AS SELECT 1",
        "DELETE FROM alembic_version",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout TO 1', current_database()); END $$",
    ):
        await run(second, harm)
        await databases.give_back("clicks", second)
        third = await databases.take("clicks")
        assert third != second, harm
        second = third
