"""Many to be told: chats at the simulated Telegram, campaigns to them, and how full its windows were."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from carillon.up.running import Stack
from services.senders.store.lists import DIGEST
from shared.events import Address, Body, Channel, Lane, MessageRequested

AT_ONCE = 50
PAGE = 10_000

_CAMPAIGN = """
    INSERT INTO campaigns (id, status, version, announced, channels, body, expires_at, intended, checksum)
    VALUES ($1, 'running', 1, 0, '{telegram}', $2, $3, $4, '')"""
_RECIPIENTS = """
    INSERT INTO campaign_recipients (campaign_id, position, address, variables)
    SELECT $1, n, jsonb_build_object('telegram_chat_id', $2::bigint + n), '{}'
    FROM generate_series(0, $3::int - 1) AS n"""

_SUM = f"""
    UPDATE campaigns SET list_sum = (SELECT coalesce(sum({DIGEST}), 0) FROM campaign_recipients
                                     WHERE campaign_id = $1)
    WHERE id = $1"""


async def make_chats(opened: Stack, kind: str, ids: Iterable[int]) -> None:
    """Make chats at the simulator."""
    url, gate = f"{opened.outside.telegram_control_url}/chats", asyncio.Semaphore(AT_ONCE)

    async def make(session: aiohttp.ClientSession, chat_id: int) -> None:
        body = {"type": kind, "user_id" if kind == "private" else "id": chat_id}
        async with gate, session.post(url, json=body) as answer:
            answer.raise_for_status()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(make(session, each) for each in ids))


async def campaign(opened: Stack, first: int, count: int) -> UUID:
    """Begin a campaign to so many private chats, from that id on."""
    campaign_id, expires_at = uuid4(), datetime.now(UTC) + timedelta(hours=1)
    senders = await asyncpg.connect(opened.system.database_url("senders"))
    async with senders.transaction():
        await senders.execute(_CAMPAIGN, campaign_id, Body(text="News").model_dump_json(), expires_at, count)
        await senders.execute(_RECIPIENTS, campaign_id, first, count)
        await senders.execute(_SUM, campaign_id)
    await senders.close()
    return campaign_id


def message(chat_id: int, text: str) -> MessageRequested:
    """Return a transactional message to a chat."""
    now = datetime.now(UTC)
    return MessageRequested(
        id=uuid4(), at=now, lane=Lane.TRANSACTIONAL, channels=(Channel.TELEGRAM,), body=Body(text=text),
        address=Address(telegram_chat_id=chat_id), expires_at=now + timedelta(hours=1),
    )  # fmt: skip


async def control(opened: Stack, path: str, body: object = None) -> Any:  # JSON out
    """Ask the simulator's control API."""
    url = f"{opened.outside.telegram_control_url}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url) if body is None else session.post(url, json=body) as answer,
    ):
        answer.raise_for_status()
        return await answer.json()


async def count_sent(opened: Stack) -> int:
    """Return how many messages are sent, without keeping the simulator from its work."""
    senders = await asyncpg.connect(opened.system.database_url("senders"))
    try:
        return int(await senders.fetchval("SELECT count(*) FROM deliveries WHERE state = 'sent'"))
    finally:
        await senders.close()


async def sent(opened: Stack) -> list[dict[str, Any]]:
    """Return everything that Telegram took."""
    found: list[dict[str, Any]] = []
    while len(page := (await control(opened, f"/sent?since={len(found)}&limit={PAGE}"))["sent"]) == PAGE:
        found += page
    return [*found, *page]


def fullest(moments: Sequence[float], seconds: float) -> int:
    """Return how many of the moments the fullest window of that length holds."""
    ordered, first, most = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
