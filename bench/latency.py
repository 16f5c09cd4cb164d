"""Latency at rest, from end to end: press to row, API request to provider, slot to provider."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg

from bench.figures import Figure, Row
from bench.street import stack
from bench.updates import Presses
from carillon.system import SERVICES
from carillon.up.outside import get
from carillon.up.running import Stack
from shared.events import click_id

SLOT_CHAT, API_CHAT = 1003, 1002
SLOT_SECONDS = 2
TIMES_PER_ROUND = 12
ASK_SECONDS = 0.001
PATIENCE_SECONDS = 15.0
HOW = (
    "One thing at a time, in a stack of all four services that does nothing else: a press, from its request "
    "to its row in clicks' database (asked for every millisecond); a message to a chat, from the API's "
    f"request to the provider's; a promo to one chat every {SLOT_SECONDS} s, from the slot's time to the "
    "provider's request. Telegram is the simulator."
)


async def measure(rounds: int) -> Figure:
    """Press, send and wait for slots, in turn."""
    settings = {"PROMO_INTERVAL_HOURS": str(SLOT_SECONDS / 3600), "PROMO_CHAT_IDS": f"[{SLOT_CHAT}]"}
    presses: list[float] = []
    requests: list[float] = []
    async with stack(*SERVICES, settings=settings) as opened, aiohttp.ClientSession() as session:
        clicks = await asyncpg.connect(opened.system.database_url("clicks"))
        bot_id = int(str(opened.outside.bot_token).partition(":")[0])
        for number in range(1, rounds * TIMES_PER_ROUND + 1):
            presses.append(await _press(opened, session, clicks, bot_id, number))
            requests.append(await _request(opened, session))
            await asyncio.sleep(SLOT_SECONDS / 2)
        await clicks.close()
        slots = await _slots(opened)
    return Figure(
        "Latency at rest, end to end",
        HOW,
        [
            _row("press → row", presses),
            _row("API request → provider", requests),
            _row("slot → provider", slots),
        ],
    )


def _row(what: str, seconds: Sequence[float]) -> Row:
    times = sorted(1000 * each for each in seconds)
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    return Row(what, "ms", times, f"p50 {times[len(times) // 2]:.1f} ms, p99 {p99:.1f} ms of {len(times)}")


async def _press(
    opened: Stack, session: aiohttp.ClientSession, clicks: asyncpg.Connection, bot_id: int, number: int
) -> float:
    (body,) = Presses().bodies(number, 1)
    headers = {"Content-Type": "application/json",
               "X-Telegram-Bot-Api-Secret-Token": opened.identity.webhook_secret}  # fmt: skip
    began = time.perf_counter()
    async with session.post(str(opened.system.webhook_url), data=body, headers=headers) as answer:
        answer.raise_for_status()
    query = "SELECT 1 FROM marketing_clicks WHERE id = $1"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await clicks.fetchval(query, click_id(bot_id, number)) is None:
            await asyncio.sleep(ASK_SECONDS)
    return time.perf_counter() - began


async def _request(opened: Stack, session: aiohttp.ClientSession) -> float:
    text = f"bench {uuid4()}"
    body = {"address": {"telegram_chat_id": API_CHAT}, "channels": ["telegram"], "body": {"text": text}}
    headers = {"Authorization": f"Bearer {opened.system.service_key}"}
    began = time.time()
    async with session.post(f"{opened.gateway_url}/api/v1/messages", json=body, headers=headers) as answer:
        answer.raise_for_status()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := [each for each in await _sent(opened, API_CHAT) if each["text"] == text]):
            await asyncio.sleep(0.1)
    return float(found[0]["arrived_at"]) - began


async def _slots(opened: Stack) -> list[float]:
    """Return how long after its slot each post was sent; without the first, which met a cold start."""
    scheduler = await asyncpg.connect(opened.system.database_url("scheduler"))
    rows = await scheduler.fetch("SELECT slot FROM slots WHERE skipped IS NULL ORDER BY slot")
    await scheduler.close()
    slots = [row["slot"] for row in rows]
    late = []
    for post in await _sent(opened, SLOT_CHAT):
        arrived = datetime.fromtimestamp(post["arrived_at"], UTC)
        late.append((arrived - max(slot for slot in slots if slot <= arrived)).total_seconds())
    return late[1:]


async def _sent(opened: Stack, chat_id: int) -> list[dict[str, Any]]:
    sent = (await get(str(opened.outside.telegram_control_url), "/sent"))["sent"]
    return [each for each in sent if each["chat_id"] == chat_id]
