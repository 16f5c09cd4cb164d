"""A broker and four databases, as four services would have filled them: for tests of trimmed streams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from nats.aio.client import Client

from carillon.audit import ask_books, audit
from carillon.rebuild import PROJECTING
from carillon.reconcile import COPIES
from carillon.system import System
from carillon.trim import ask_to_keep
from shared.bus import Bus
from shared.database import Database
from shared.events import (
    Channel,
    Event,
    Lane,
    PromoDue,
    PromoPosted,
    PromoRef,
    UpdateHandled,
    UpdateReceived,
    outcome_id,
    promo_due_id,
    update_handled_id,
    update_id_of,
)
from shared.ids import delivery_of, derived
from shared.record.ages import Ages
from shared.record.feeding import Feeding, Projecting
from shared.record.rebuilding import deaths, rebuild
from shared.record.reconciling import reconcile
from shared.record.trimming import PIECE, Plan, trim
from shared.topology import DURABLES

ALL_OF_IT = Ages(0.0, 0.0)
SCHEDULE = derived("schedule", "default")
CHAT = -100


@dataclass
class World:
    """What there would be after four services had worked."""

    bus: Bus
    system: System

    async def tell(self, *events: Event) -> None:
        """Publish events."""
        for event in events:
            await self.bus.publish(event)

    async def post(self, slot: datetime, payload: str, chat: int = CHAT) -> None:
        """Post a promo: decided by scheduler, sent by senders, and told by both."""
        message = promo_due_id(SCHEDULE, slot, chat)
        delivery = delivery_of(message, Channel.TELEGRAM)
        until = slot + timedelta(hours=1)
        async with self.connect("scheduler") as scheduler, self.connect("senders") as senders:
            await scheduler.execute(
                "INSERT INTO slots (schedule_id, slot, decided_at, bot, chat_ids, promo_id, payload, text,"
                " until, announced_at) VALUES ($1, $2, $2, 'default', $3, 'premium', $4, 'Words', $5, $2)",
                SCHEDULE, slot, [chat], payload, until,
            )  # fmt: skip
            await senders.execute(
                "INSERT INTO messages (id, lane, request, expires_at) VALUES ($1, 'promo', $3, $2)",
                message, until, f'{{"address": {{"telegram_chat_id": {chat}}}}}',
            )  # fmt: skip
            await senders.execute(
                "INSERT INTO deliveries (id, message_id, channel, position, lane_rank, state, attempt,"
                " due_at) VALUES ($1, $2, 'telegram', 0, 1, 'sent', 1, $3)",
                delivery, message, slot,
            )  # fmt: skip
        await self.tell(
            PromoDue(
                id=message, at=slot, schedule_id=SCHEDULE, slot=slot, promo_id="premium", payload=payload,
                bot="default", chat_id=chat, text="Words", until=until,
            ),
            PromoPosted(
                id=outcome_id(delivery, 1, "posted"), at=slot, message_id=message, delivery_id=delivery,
                channel=Channel.TELEGRAM, lane=Lane.PROMO, attempt=1, type="promo", bot="default",
                promo=PromoRef(schedule_id=SCHEDULE, slot=slot, promo_id="premium", payload=payload),
                chat_id=chat, provider_message_id="1",
            ),
        )  # fmt: skip

    async def catch_up(self, *but: str) -> None:
        """Let every durable but these read all there is, and its tables know it."""
        client = Client()
        await client.connect(str(self.system.nats_url))
        api = client.jetstream()
        for durable in DURABLES:
            subscription = await api.pull_subscribe_bind(durable.name, durable.stream)
            while durable.name not in but and (await subscription.consumer_info()).num_pending:
                for message in await subscription.fetch(100, timeout=30):
                    await message.ack_sync()
            await subscription.unsubscribe()
        await client.close()
        cut = await self.bus.streams.cut()
        for service, projecting in PROJECTING.items():
            async with Database.open(self.system.database_urls[service]) as database:
                made = projecting(database)
                feeds = tuple(feed for feed in made.feeds if feed.durable not in but)
                feeding = Feeding(
                    self.bus.streams, Projecting(made.tables, feeds), await deaths(self.bus.streams, made)
                )
                await feeding.up_to(cut, lambda _: None)

    async def trim(self, ages: Ages = ALL_OF_IT, *, piece: int = PIECE) -> Plan:
        """Trim as the command does, while no service runs."""
        return await trim(
            self.bus, ages, datetime.now(UTC),
            books=lambda question: ask_books(self.system, self.bus, question),
            keep=lambda question: ask_to_keep(self.system, self.bus, question),
            piece=piece,
        )  # fmt: skip

    async def is_whole(self) -> bool:
        """Say whether books balance, every projection is rebuilt the same, and nothing is told again."""
        done = await audit(self.system, self.bus)
        assert done.balanced, done.as_dict()
        before, rows = await self.bus.streams.cut(), 0
        for service, projecting in PROJECTING.items():
            rebuilt = await rebuild(self.system.database_urls[service], self.bus.streams, projecting)
            assert rebuilt.same, (service, rebuilt.compared)
            rows += sum(each.new for each in rebuilt.compared)
        assert rows > 0
        for service, copies in COPIES.items():
            async with Database.open(self.system.database_urls[service]) as database:
                found = await reconcile(service, database, self.bus, copies, dry_run=False)
            assert [(each.missing, each.told) for each in found] == [(0, 0)] * len(copies), found
        return await self.bus.streams.cut() == before

    @asynccontextmanager
    async def connect(self, service: str) -> AsyncIterator[asyncpg.Connection]:
        """Connect to a service's database."""
        connection = await asyncpg.connect(self.system.database_urls[service])
        try:
            yield connection
        finally:
            await connection.close()


def update(number: int, at: datetime) -> tuple[UpdateReceived, UpdateHandled]:
    """Return an update with words of somebody's, and what tells that it is handled."""
    person, update_id = 1000 + number, 500_000 + number  # which no press has
    said = {
        "update_id": update_id,
        "message": {
            "message_id": number, "date": 1, "chat": {"id": person, "type": "private"},
            "from": {"id": person, "is_bot": False, "first_name": "Ada"},
            "text": f"Words {number}",
        },
    }  # fmt: skip
    return (
        UpdateReceived(
            id=update_id_of(7, update_id), at=at, bot="default", bot_id=7, update_id=update_id,
            kind="message", update=said,
        ),
        UpdateHandled(
            id=update_handled_id(7, update_id), at=at, bot_id=7, update_id=update_id, status="handled",
            command="start", handling_seconds=0.1,
        ),
    )  # fmt: skip
