"""What is left of trimmed events: a schema `trimmed` in every service's database.

`said` holds what books count of them, `told` the ids of those that tables could tell again, `cuts` how far
each stream is trimmed; beside these lies a copy of every projection as trimmed events alone would make it.
Everything in it is written before the events go, and only ever added to: a table that is ahead of its cut
says nothing else than the events that are still there, so that whoever reads takes all of it and all that is
left in the streams, and need not know where one ends and the other begins.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import Database

SCHEMA = "trimmed"
SEARCH_PATH = f"{SCHEMA}, public"

HOLD = "LOCK TABLE trimmed.cuts IN SHARE MODE"
"""Lets no cut be moved, and so no event go, while this transaction reads. It is to come first: unlike any
question it does not settle which moment a transaction sees."""

SAY = text("INSERT INTO said SELECT source, key, state, weight, tie, parent, last FROM trimmed.said")
"""Begins the table of what was said with what trimmed events said."""

_LOOK = text(f"SET LOCAL search_path TO {SEARCH_PATH}")
_CUTS = text("SELECT stream, sequence, before, trimmed_at FROM trimmed.cuts ORDER BY stream")


@dataclass(frozen=True)
class Cut:
    """How far a stream is trimmed: everything up to a sequence, all of it stored by the moment `before`."""

    stream: str
    sequence: int
    before: datetime
    trimmed_at: datetime


async def look_into_trimmed(connection: AsyncConnection) -> None:
    """Let the rest of a transaction find the copies of projections instead of the projections."""
    await connection.execute(_LOOK)


async def cuts(database: Database) -> dict[str, Cut]:
    """Return how far each stream is trimmed, as far as a service knows."""
    rows = await database.rows(_CUTS)
    return {row["stream"]: Cut(**row) for row in rows}


@asynccontextmanager
async def held(url: str) -> AsyncIterator[None]:
    """Let no event that this service may need go meanwhile."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(HOLD)
            yield
    finally:
        await connection.close()
