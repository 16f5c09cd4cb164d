"""Rebuild: every row of clicks made anew from the stream, beside inserting as many rows alone."""

import asyncio
import time
from datetime import UTC, datetime
from itertools import islice

from bench.figures import Figure, Row, Target, ratios
from bench.limits.inserting import Inserting
from bench.street import command, quiet, stack
from bench.updates import BOT_ID, PAYLOAD, PEOPLE
from carillon.up.running import Stack
from services.clicks import handlers
from shared import ids
from shared.bus import Bus
from shared.events import ButtonClicked, Person, click_id
from shared.record.rebuilding import rebuild

EVENTS = 1_000_000
AT_ONCE = 1_000
INSERT_SECONDS = 900.0
HOW = (
    f"{EVENTS:,} presses lie in the stream and in the table of a running clicks; `carillon rebuild` "
    "reads them all, makes the table anew with its indexes, compares checksums and swaps. Inserting alone "
    "puts as many ready rows into a table like that of clicks, 500 to a transaction."
)

WHY = (
    "Reading a press from the stream and making its event again takes one core about as long as PostgreSQL "
    "takes to insert its row on the other; the indexes and the checksums come on top."
)


async def measure(rounds: int) -> Figure:
    """Rebuild and insert in turn, several times."""
    ours: list[float] = []
    inserted: list[float] = []
    async with stack("clicks") as opened:
        await _publish(opened)
        await quiet(opened, ["clicks_presses"])
        url = opened.system.database_url("clicks")
        for _ in range(rounds):
            ours.append(await _rebuilt(opened, url))
            task = Inserting(database_url=url, count=EVENTS, indexed=True).model_dump_json()
            inserted.append(
                float(await command("bench.limits.inserting", task.encode(), seconds=INSERT_SECONDS))
            )
    return Figure(
        "Rebuild: a table of a million clicks made anew",
        HOW,
        [
            Row("carillon rebuild clicks", "events/s", ours),
            Row("raw limit: insert by unnest, same columns and indexes", "rows/s", inserted),
        ],
        [Target("of inserting", ratios(ours, inserted), 0.5, why=WHY)],
    )


async def _publish(opened: Stack) -> None:
    events = (_press(number) for number in range(1, EVENTS + 1))
    async with Bus.open(opened.outside.nats_url, service="bench") as bus:
        while some := list(islice(events, AT_ONCE)):
            await asyncio.gather(*(bus.publish(event, seconds=60) for event in some))


def _press(number: int) -> ButtonClicked:
    return ButtonClicked(
        id=click_id(BOT_ID, number), at=datetime.now(UTC), payload=PAYLOAD,
        delivery_id=ids.derived("delivery", "bench"), bot="default", bot_id=BOT_ID, update_id=number,
        person=Person(telegram_id=5_000_000_000 + number % PEOPLE, first_name="Ada"),
        chat_id=-1_001_000_000_001, message_id=4711, cta_text="Get premium signals 🚀",
    )  # fmt: skip


async def _rebuilt(opened: Stack, url: str) -> float:
    async with Bus.open(opened.outside.nats_url, service="bench") as bus:
        began = time.perf_counter()
        done = await rebuild(url, bus.streams, handlers.projecting)
        took = time.perf_counter() - began
    if not done.same or done.events < EVENTS:
        raise RuntimeError(f"rebuilt from {done.events} events, same: {done.same}")
    return done.events / took
