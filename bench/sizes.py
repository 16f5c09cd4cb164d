"""Clicks at every size of its table: its rate beside that of inserting alone into a table of that size."""

from statistics import median

import asyncpg
import nats

from bench.clicks import DURABLE, EVENTS, LATER, STREAM, consumed, inserting, publish
from bench.figures import Figure, Row, Target, ratios
from bench.street import stack
from carillon.up.running import Stack

SIZES = (10_000, 100_000, 1_000_000)
FILL_SECONDS = 600.0
HOW = (
    f"The table of clicks is filled to its size with presses by 100,000 people over a year; then {EVENTS:,} "
    "presses are taken from the stream, and as many rows are inserted into a table like it, of the same "
    "size, with the same indexes, 500 to a transaction."
)
WHY = "A look-up of its promo and of its people costs a press the more the less of the table is in memory."
FILL = """
INSERT INTO marketing_clicks
    (id, user_id, promo_id, cta_text, chat_id, message_id, source, clicked_at, bot, payload, delivery_id)
SELECT gen_random_uuid(), md5((n % 100000)::text)::uuid, 'premium', 'Get premium signals', -1001000000001,
       4711, 'button', now() - random() * interval '365 days', 'default', 'premium',
       md5((n / 1000)::text)::uuid
FROM generate_series(1, $1::bigint) AS n"""


async def measure(rounds: int) -> Figure:
    """Fill the table step by step, and let clicks and inserting run in turn at each size."""
    rows: list[Row] = []
    shares: list[float] = []
    first = 1
    async with stack("clicks") as opened:
        client = await nats.connect(opened.outside.nats_url)
        stream = client.jetstream()
        await stream.pause_consumer(STREAM, DURABLE, LATER)
        # The first are slower, whatever the size: they fill the caches.
        await publish(opened, first)
        await consumed(opened, stream, EVENTS)
        first += EVENTS
        for size in SIZES:
            ours: list[float] = []
            raw: list[float] = []
            for _ in range(rounds):
                await stream.pause_consumer(STREAM, DURABLE, LATER)
                await publish(opened, first)
                first += EVENTS
                filled = await _fill(opened, size)
                raw.append(await inserting(opened, indexed=True, filled=True))
                ours.append(await consumed(opened, stream, filled + EVENTS))
            rows += [
                Row(f"clicks, {size:,} rows", "events/s", ours),
                Row(f"inserting alone, {size:,} rows", "rows/s", raw),
            ]
            shares.append(median(ratios(ours, raw)))
        await client.close()
    told = ", ".join(f"{share:.2f}" for share in shares)
    return Figure(
        "Clicks, as their table grows",
        f"{HOW} Clicks' share of inserting alone, by size: {told}.",
        rows,
        [Target("largest share to smallest", [max(shares) / min(shares)], 1.3, at_most=True, why=WHY)],
    )


async def _fill(opened: Stack, size: int) -> int:
    """Have the table hold so many rows; return how many it holds."""
    connection = await asyncpg.connect(opened.system.database_url("clicks"))
    held = int(await connection.fetchval("SELECT count(*) FROM marketing_clicks"))
    if held > size:
        # What the last round has put in goes out again.
        await connection.execute(
            "DELETE FROM marketing_clicks WHERE ctid IN (SELECT ctid FROM marketing_clicks LIMIT $1)",
            held - size, timeout=FILL_SECONDS,
        )  # fmt: skip
    elif held < size:
        await connection.execute(FILL, size - held, timeout=FILL_SECONDS)
    await connection.execute("VACUUM ANALYZE marketing_clicks", timeout=FILL_SECONDS)
    await connection.close()
    return size
