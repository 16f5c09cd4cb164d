"""In which order a statement locks its rows: two that lock in one order wait, and never for each other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text

from shared.database import Database

_BLOCKED = text("""
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()""")


async def _turn_round(database: Database, table: str, key: str) -> None:
    """Let the rows of a table lie the last ones by their key first: whoever reads as they lie reads so."""
    backwards = ", ".join(f"{name} DESC" for name in key.split(", "))
    for statement in (
        f"CREATE INDEX backwards ON {table} ({backwards})",
        f"CLUSTER {table} USING backwards",
        "DROP INDEX backwards",
    ):
        await database.execute(text(statement))


async def until_blocked(database: Database) -> None:
    """Wait until a statement waits for a lock."""
    async with asyncio.timeout(60):
        while not await database.value(_BLOCKED):
            await asyncio.sleep(0.01)


async def free_behind_first(
    database: Database, table: str, key: str, act: Callable[[], Awaitable[Any]]
) -> int:
    """Hold the first row of a table by its key, let `act` wait for it, and count what it has not locked.

    Of what locks in the order of the key that is every other row. Waits for the end of `act`.
    """
    await _turn_round(database, table, key)
    rows = f"SELECT {key} FROM {table} ORDER BY {key}"  # noqa: S608 - names of ours
    async with database.begin() as holding:
        await holding.execute(text(f"{rows} LIMIT 1 FOR UPDATE"))
        acting = asyncio.ensure_future(act())
        await until_blocked(database)
        async with database.begin() as other:
            free = (await other.execute(text(f"{rows} FOR UPDATE SKIP LOCKED"))).all()
    await acting
    return len(free)
