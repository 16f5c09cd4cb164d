"""The raw limit of storing: ready columns into a table by `unnest`, 500 rows to a transaction.

Reads one `Inserting` as JSON and writes the rows per second. The table is as that of clicks, with its
indexes or without.
"""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import uvloop
from pydantic import BaseModel

BATCH = 500
FILL_SECONDS = 300.0
INSERT = """
INSERT INTO raw (id, user_id, promo_id, cta_text, chat_id, message_id, source, clicked_at, bot, payload,
                 delivery_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
                     $8::timestamptz[], $9::text[], $10::text[], $11::uuid[])
ON CONFLICT (id) DO NOTHING"""


class Inserting(BaseModel):
    """How many rows are to be inserted, where, and whether all indexes of clicks are kept up.

    A `filled` table has the rows of clicks before the clock starts.
    """

    database_url: str
    count: int
    indexed: bool
    filled: bool = False


async def insert(task: Inserting) -> float:
    """Insert every row; return how many a second."""
    connection = await asyncpg.connect(task.database_url)
    await connection.execute("DROP TABLE IF EXISTS raw")
    await connection.execute("CREATE TABLE raw (LIKE marketing_clicks INCLUDING ALL)")
    if not task.indexed:
        await _drop_indexes(connection)
    if task.filled:
        await connection.execute("INSERT INTO raw SELECT * FROM marketing_clicks", timeout=FILL_SECONDS)
        await connection.execute("VACUUM ANALYZE raw", timeout=FILL_SECONDS)
    delivery, people = uuid4(), [uuid4() for _ in range(1_000)]
    batches = [_columns(delivery, people) for _ in range(task.count // BATCH)]
    began = time.perf_counter()
    for columns in batches:
        await connection.execute(INSERT, *columns)
    took = time.perf_counter() - began
    await connection.execute("DROP TABLE raw")
    await connection.close()
    return BATCH * len(batches) / took


async def _drop_indexes(connection: asyncpg.Connection) -> None:
    for row in await connection.fetch(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'raw' AND indexname <> 'raw_pkey'"
    ):
        await connection.execute(f"DROP INDEX {row['indexname']}")


def _columns(delivery: UUID, people: list[UUID]) -> list[Sequence[object]]:
    now = datetime.now(UTC)
    return [
        [uuid4() for _ in range(BATCH)],
        people[:BATCH],
        ["premium_signals"] * BATCH,
        ["Get premium signals"] * BATCH,
        [-1_001_000_000_001] * BATCH,
        [4711] * BATCH,
        ["button"] * BATCH,
        [now] * BATCH,
        ["default"] * BATCH,
        ["premium"] * BATCH,
        [delivery] * BATCH,
    ]


def main() -> None:
    """Read a task and say how fast it was done."""
    task = Inserting.model_validate_json(sys.stdin.buffer.read())
    sys.stdout.write(str(uvloop.run(insert(task))))


if __name__ == "__main__":
    main()
