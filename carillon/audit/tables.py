"""What the tables say, by event id."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from carillon.output import fail
from carillon.system import System
from shared.events import outcome_id
from shared.ids import derived

_BEST = ("sent", "ambiguous", "pending", "failed", "suppressed")


@dataclass
class Kept:
    """Ids per table; `accounted` are messages that ended or wait."""

    clicks: set[str] = field(default_factory=set)
    updates: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    deliveries: set[str] = field(default_factory=set)
    promo_log: set[str] = field(default_factory=set)
    promo_states: dict[str, set[str]] = field(default_factory=dict)
    campaign_items: set[str] = field(default_factory=set)
    campaign_messages: set[str] = field(default_factory=set)
    campaign_queued: set[str] = field(default_factory=set)
    message_states: dict[str, str] = field(default_factory=dict)

    @property
    def accounted(self) -> set[str]:
        """Messages of which the ledger can say what became of them."""
        return set(self.message_states)


async def look(system: System, *, announce_seconds: float) -> Kept:
    """Read the tables of every service; first wait until senders has told all its outcomes."""
    kept = Kept()
    async with _connected(system, "clicks") as clicks:
        kept.clicks = _ids(await clicks.fetch("SELECT id FROM marketing_clicks"))
    async with _connected(system, "gateway") as gateway:
        rows = await gateway.fetch("SELECT bot_id, update_id FROM telegram_webhooks")
        kept.updates = {f"{row['bot_id']}:{row['update_id']}" for row in rows}
    async with _connected(system, "scheduler") as scheduler:
        await _promo_log(kept, scheduler)
    await _wait_until_told(system, announce_seconds)
    async with _connected(system, "senders") as senders:
        await _ledger(kept, senders)
        await _campaigns(kept, senders)
    return kept


@asynccontextmanager
async def _connected(system: System, service: str) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await asyncpg.connect(system.database_url(service), timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database of {service} cannot be used ({type(error).__name__})", code=1)
    try:
        # One moment for all questions to one database.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close()


async def _wait_until_told(system: System, seconds: float) -> None:
    """Wait for outcomes that are written but not published yet; what stays is a difference."""
    for _ in range(int(seconds / 0.5)):
        async with _connected(system, "senders") as senders:
            if not await senders.fetchval("SELECT count(*) FROM deliveries WHERE NOT announced"):
                return
        await asyncio.sleep(0.5)


async def _promo_log(kept: Kept, scheduler: asyncpg.Connection) -> None:
    rows = await scheduler.fetch("SELECT id, state FROM promo_log_chats WHERE chat_id IS NOT NULL")
    kept.promo_log = _ids(rows)
    for row in rows:
        kept.promo_states.setdefault(row["state"], set()).add(str(row["id"]))


async def _ledger(kept: Kept, senders: asyncpg.Connection) -> None:
    kept.messages = _ids(await senders.fetch("SELECT id FROM messages"))
    states: dict[str, set[str]] = {}
    for row in await senders.fetch("""
        SELECT d.id, d.message_id, d.state, d.attempt, m.lane
        FROM deliveries d JOIN messages m ON m.id = d.message_id"""):
        state = "pending" if row["state"] == "sending" else row["state"]
        states.setdefault(str(row["message_id"]), set()).add(state)
        kept.deliveries.add(str(row["id"]))
        if state != "pending":
            kind = "posted" if state == "sent" and row["lane"] == "promo" else state
            kept.outcomes.add(str(outcome_id(row["id"], row["attempt"], kind)))
    kept.message_states = {
        message: next(state for state in _BEST if state in found) for message, found in states.items()
    }


async def _campaigns(kept: Kept, senders: asyncpg.Connection) -> None:
    rows = await senders.fetch("SELECT campaign_id, position FROM campaign_recipients")
    expanded = dict(await senders.fetch("SELECT id, expanded FROM campaigns"))
    for row in rows:
        item = str(derived("campaign.item", row["campaign_id"], row["position"]))
        kept.campaign_items.add(item)
        if row["position"] >= expanded[row["campaign_id"]]:
            kept.campaign_queued.add(item)
    found = await senders.fetch("SELECT id FROM messages WHERE campaign_id IS NOT NULL")
    kept.campaign_messages = {key for key in _ids(found) if key in kept.campaign_items}


def _ids(rows: list[asyncpg.Record]) -> set[str]:
    return {str(row["id"]) for row in rows if isinstance(row["id"], UUID)}
