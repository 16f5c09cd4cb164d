"""Clicks: from events in the stream to committed rows, beside fetching alone and inserting alone."""

import asyncio
import time
from datetime import UTC, datetime
from itertools import islice

import asyncpg
import nats
from nats.js import JetStreamContext

from bench.figures import Figure, Row, Target, ratios
from bench.limits.fetching import Fetching
from bench.limits.inserting import Inserting
from bench.street import command, stack
from bench.updates import BOT_ID, PAYLOAD, PEOPLE
from carillon.up.running import Stack
from shared import ids
from shared.bus import Bus
from shared.events import ButtonClicked, Person, click_id

EVENTS = 30_000
STREAM, DURABLE = "CLICKS", "clicks_presses"
AT_ONCE = 1_000
LATER, NOW = "2200-01-01T00:00:00Z", "2000-01-01T00:00:00Z"
ASK_SECONDS = 0.05
START_SECONDS = 0.005
HOW = (
    f"{EVENTS:,} presses lie in the stream; the durable of a running clicks process is let go, and the "
    "clock runs from the first that it is handed until all are acked, which is after the commit. Fetching "
    "alone acks the same messages and reads none; inserting alone puts ready columns into a table like that "
    "of clicks, 500 to a transaction."
)
WHY = (
    "Fetching uses the processor alone and inserting uses PostgreSQL alone; clicks needs both at once, from "
    "the same two cores, and looks up the promo of each press besides."
)


async def measure(rounds: int) -> Figure:
    """Let clicks, and what it consists of, run in turn, several times."""
    ours: list[float] = []
    fetched: list[float] = []
    inserted: list[float] = []
    plain: list[float] = []
    async with stack("clicks") as opened:
        client = await nats.connect(opened.outside.nats_url)
        stream = client.jetstream()
        for number in range(rounds):
            await stream.pause_consumer(STREAM, DURABLE, LATER)
            first = 1 + number * EVENTS
            await publish(opened, first)
            ours.append(await consumed(opened, stream, first - 1 + EVENTS))
            fetched.append(await _fetching(opened, first))
            inserted.append(await inserting(opened, indexed=True))
            plain.append(await inserting(opened, indexed=False))
        await client.close()
    slower = [min(pair) for pair in zip(fetched, inserted, strict=True)]
    return Figure(
        "Clicks: from the stream to committed rows",
        HOW,
        [
            Row("Carillon's clicks", "events/s", ours),
            Row("raw limit: fetch and ack, nats-py", "events/s", fetched),
            Row("raw limit: insert by unnest, same columns and indexes", "rows/s", inserted),
            Row("the same, primary key only", "rows/s", plain),
        ],
        [Target("of the slower of fetching and inserting", ratios(ours, slower), 0.6, why=WHY)],
    )


async def publish(opened: Stack, first: int) -> None:
    """Put presses into the stream, with update ids from this one on."""
    events = (_press(number) for number in range(first, first + EVENTS))
    async with Bus.open(opened.outside.nats_url, service="bench") as bus:
        while some := list(islice(events, AT_ONCE)):
            await asyncio.gather(*(bus.publish(event, seconds=30) for event in some))


def _press(number: int) -> ButtonClicked:
    return ButtonClicked(
        id=click_id(BOT_ID, number), at=datetime.now(UTC), payload=PAYLOAD,
        delivery_id=ids.derived("delivery", "bench"), bot="default", bot_id=BOT_ID, update_id=number,
        person=Person(telegram_id=5_000_000_000 + number % PEOPLE, first_name="Ada", username="ada_lovelace",
                      language="en"),
        chat_id=-1_001_000_000_001, message_id=4711, cta_text="Get premium signals 🚀",
    )  # fmt: skip


async def consumed(opened: Stack, stream: JetStreamContext, expected: int) -> float:
    """Let the durable go, wait until it is through, and return the events per second.

    Raises RuntimeError where the table does not have as many rows then as expected.
    """
    await stream.pause_consumer(STREAM, DURABLE, NOW)
    # A pull request that waited while the durable was paused gets nothing: up to two seconds until the next.
    while (await stream.consumer_info(STREAM, DURABLE)).num_pending == EVENTS:
        await asyncio.sleep(START_SECONDS)
    began = time.perf_counter()
    while True:
        info = await stream.consumer_info(STREAM, DURABLE)
        if not (info.num_pending or info.num_ack_pending):
            break
        await asyncio.sleep(ASK_SECONDS)
    took = time.perf_counter() - began
    connection = await asyncpg.connect(opened.system.database_url("clicks"))
    rows = await connection.fetchval("SELECT count(*) FROM marketing_clicks")
    await connection.close()
    if rows != expected:
        raise RuntimeError(f"{rows} rows, not {expected}")
    return EVENTS / took


async def _fetching(opened: Stack, first: int) -> float:
    task = Fetching(
        nats_url=opened.outside.nats_url, stream=STREAM, first_sequence=first, count=EVENTS
    ).model_dump_json()
    return float(await command("bench.limits.fetching", task.encode()))


async def inserting(opened: Stack, *, indexed: bool, filled: bool = False) -> float:
    """Insert as many rows into a table like that of clicks, empty or as full; return rows per second."""
    url = opened.system.database_url("clicks")
    task = Inserting(database_url=url, count=EVENTS, indexed=indexed, filled=filled).model_dump_json()
    return float(await command("bench.limits.inserting", task.encode()))
