"""What the tests of senders share: its desk on a real database, between simulated providers."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from sqlalchemy import text

from devstack.push import PushService, base64url
from devstack.smtp import Inbox
from devstack.telegram import Rules, Telegram
from devstack.telegram.world import Bot as SimulatedBot
from devstack.telegram.world import Chat, User
from services.senders.api import Estimates
from services.senders.app import TEMPLATES
from services.senders.channels import Channel as Sender
from services.senders.channels.email import EmailChannel
from services.senders.channels.push import PushChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.channels.telegram import TelegramChannel
from services.senders.channels.vapid import VapidTokens
from services.senders.domain.limits import Limits
from services.senders.domain.policy import Policy
from services.senders.domain.requests import Request
from services.senders.handlers import Announcer, Desk, Rounds, message_requested, promo_due
from services.senders.store import Audiences, Campaigns, Governor, Ledger, Recipients
from shared.bots import Bot
from shared.bus import Receipt
from shared.database import Database
from shared.events import Address, Body, Button, Channel, Event, Lane, MessageRequested, PromoDue
from shared.ids import derived, to_short
from shared.push import PushServices
from shared.queries import AddPushSubscription, PutRecipient
from shared.queues import Queues
from shared.templates import Templates

FreshDatabase = Callable[[str], Awaitable[str]]
EventT = TypeVar("EventT", bound=Event)

TOKEN = "123456:ABC-def_1234567890"
SCHEDULE = derived("schedule", "default")
SLOT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = 20.0
"""A machine that stalls must not look like a provider that does."""
FAST = Limits(bot_per_second=1000, private_chat_per_second=1000, group_per_minute=60_000)
QUICK = Policy(
    no_effect_seconds=(0.05, 0.05, 0.05), greylist_seconds=(0.1,), down_seconds=0.2, stopped_seconds=0.3
)


@cache
def shipped_templates() -> Templates:
    """Return the templates that are shipped, compiled once: nothing changes them."""
    return Templates.load(TEMPLATES, {"dashboard_url": "http://127.0.0.1:1"})


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


_sequences = itertools.count(1)


def receipt(replay: int = 0) -> Receipt:
    """Return how an event came, in its first life unless told otherwise."""
    return Receipt(replay=replay, attempt=1, sequence=next(_sequences), published_at=now())


_BLOCKED = text("""
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()""")


def asked(**fields: Any) -> MessageRequested:
    """Return a request, transactional and over Telegram unless told otherwise."""
    plain: dict[str, Any] = {
        "id": uuid4(),
        "at": now(),
        "channels": (Channel.TELEGRAM,),
        "address": Address(telegram_chat_id=42) if "user_id" not in fields else None,
        "body": Body(text="Hello.") if "template" not in fields else None,
        "expires_at": now() + timedelta(hours=1),
    }
    return MessageRequested.model_validate(plain | fields)


def due(chat_id: int = 42, slot: datetime = SLOT, **fields: Any) -> PromoDue:
    """Return a promo that is due in a chat, with a button."""
    plain: dict[str, Any] = {
        "id": uuid4(),
        "at": now(),
        "schedule_id": SCHEDULE,
        "slot": slot,
        "promo_id": "premium_signals",
        "payload": "premium",
        "bot": "default",
        "chat_id": chat_id,
        "text": "*Premium*",
        "button": Button(text="Go 🚀", payload="premium"),
        "until": now() + timedelta(hours=1),
    }
    return PromoDue.model_validate(plain | fields)


@dataclass
class House:
    """Senders without its broker: what it publishes is in `told`; the world around it is simulated."""

    database: Database
    telegram: Telegram
    inbox: Inbox
    push: PushService
    senders: dict[Channel, Sender]
    bot: SimulatedBot
    told: list[Event] = field(default_factory=list)
    queues: Queues = field(default_factory=Queues)
    lease_seconds: float = 60.0

    asked = staticmethod(asked)
    due = staticmethod(due)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.database, lease_seconds=self.lease_seconds)
        self.recipients = Recipients(self.database)
        self.campaigns = Campaigns(self.database, "default")
        self.estimates = Estimates(Audiences(self.database, "default"), Limits())
        self.desk = self.replica()

    def replica(self, limits: Limits | None = None, **changes: Any) -> Desk:
        """Return a desk of its own, as another process has it."""
        announcer = Announcer(self.publish, self.ledger, self.recipients, self.campaigns)
        plain: dict[str, Any] = {
            "ledger": self.ledger,
            "governor": Governor(self.database),
            "recipients": self.recipients,
            "announcer": announcer,
            "senders": self.senders,
            "templates": shipped_templates(),
            "limits": limits or FAST,
            "policy": QUICK,
            "publish": self.publish,
            "default_bot": "default",
            "push_key": getattr(self.senders.get(Channel.PUSH), "key", None),
            "unsubscribe_url": lambda delivery_id: f"https://carillon.example/u/{to_short(delivery_id)}",
        }
        return Desk(**(plain | changes))

    async def publish(self, event: Event) -> None:
        """Take what senders tells."""
        self.told.append(event)

    async def handle(self, event: MessageRequested | PromoDue, *, replay: int = 0) -> UUID:
        """Let the desk handle an event; return the message's id."""
        if isinstance(event, PromoDue):
            await promo_due(event, receipt(replay), self.desk, self.queues)
        else:
            await message_requested(event, receipt(replay), self.desk, self.queues)
        return event.id

    @asynccontextmanager
    async def rounds(self, desk: Desk | None = None) -> AsyncIterator[None]:
        """Let the rounds run while the context lasts."""
        desk = desk or self.desk
        task = asyncio.create_task(Rounds(desk, self.campaigns, desk.announcer).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rounds_have_passed(self) -> None:
        """Let the rounds take whatever is due by now, and stop them."""
        self.chat(4711)
        last = self.asked(address={"telegram_chat_id": 4711})
        await self.handle(last.model_copy(update={"not_before": last.at - timedelta(seconds=1)}))
        async with self.rounds():
            await self.until("sent", last.id)

    async def deliveries(self, message_id: UUID) -> list[tuple[str, str, str | None]]:
        """Return channel, state and reason of a message's deliveries, in the order of its chain."""
        found = await self.ledger.message(message_id)
        assert found is not None
        return [(row["channel"], row["state"], row["reason"]) for row in found[1]]

    async def until(self, state: str, message_id: UUID, seconds: float = 60.0) -> None:
        """Wait until the last delivery of a message is in a state."""
        async with asyncio.timeout(seconds):
            while (await self.deliveries(message_id))[-1][1] != state:
                await asyncio.sleep(0.02)

    async def until_blocked(self, statements: int = 1) -> None:
        """Wait until so many statements wait for a lock."""
        async with asyncio.timeout(60):
            while await self.database.value(_BLOCKED) < statements:
                await asyncio.sleep(0.01)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Return what was told, of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def texts(self, chat_id: int = 42) -> list[str]:
        """Return what Telegram took for a chat, in its order."""
        sent = self.telegram.cloud.records.sent.since(0)
        return [each.text or "" for _, each in sent if each.message.chat.id == chat_id]

    def chat(self, chat_id: int) -> Chat:
        """Return a chat of the simulated Telegram, made when it is new: private, a group or a supergroup."""
        world = self.telegram.cloud.world
        if chat_id not in world.chats:
            if chat_id > 0:
                user = world.users.setdefault(chat_id, User(chat_id, "Ann"))
                world.chats[chat_id] = Chat(chat_id, "private", user=user)
            else:
                kind = "supergroup" if chat_id < -(10**12) else "group"
                world.chats[chat_id] = Chat(chat_id, kind, "Traders")
        return world.chats[chat_id]

    async def recipient(self, **fields: Any) -> UUID:
        """Put somebody into the directory and return their id."""
        user_id = uuid4()
        await self.recipients.put(PutRecipient(cause=uuid4(), user_id=user_id, **fields))
        return user_id

    async def subscribe(self, user_id: UUID, key: str | None = None) -> str:
        """Let somebody's browser subscribe, for one key only; return its id at the push service."""
        made = self.push.memory.subscribe(self.push.url, None, key)
        command = {"cause": uuid4(), "user_id": user_id, "subscription": made.listing()}
        await self.recipients.add_subscription(AddPushSubscription.model_validate(command))
        return made.id


@pytest.fixture
async def database(fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    """Open an empty database of senders."""
    async with Database.open(await fresh_database("senders")) as opened:
        yield opened


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """Open a house, with a private chat 42 at Telegram."""
    key = base64url.encode(
        ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32)
    )
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        telegram = await enter(Telegram.open(rules=Rules(enabled=False)))
        inbox, push = await enter(Inbox.open()), await enter(PushService.open())
        bots = {"default": Bot("default", SecretStr(TOKEN))}
        server = SmtpServer(inbox.host, inbox.port, tls="none", timeout=PATIENCE)
        senders: dict[Channel, Sender] = {
            Channel.TELEGRAM: await enter(TelegramChannel.open(bots, telegram.api_url, seconds=PATIENCE)),
            Channel.EMAIL: await enter(
                EmailChannel.open(server, "Carillon <no-reply@carillon.example>", now)
            ),
            Channel.PUSH: await enter(
                PushChannel.open(
                    VapidTokens(key, "mailto:ops@carillon.example"),
                    now,
                    services=PushServices(http_hosts=("127.0.0.1",)),
                    timeout=PATIENCE,
                )
            ),
        }
        bot = telegram.cloud.add_bot(TOKEN, "carillon_bot")
        made = House(database, telegram, inbox, push, senders, bot)
        made.chat(42)
        yield made


@pytest.fixture
def request_of() -> Callable[..., Request]:
    """Return a maker of the ledger's requests."""
    return lambda lane=Lane.TRANSACTIONAL, **fields: Request.of_message(asked(lane=lane, **fields))
