"""What the tests of gateway share: a gateway on real servers, and peers that keep the contracts."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import pytest
from sqlalchemy import text

from devstack.nats import Nats
from devstack.servers import free_port
from devstack.telegram import Telegram
from services.gateway.app import app
from services.gateway.domain.roles import KeyRole
from services.gateway.settings import GatewaySettings
from services.gateway.store import Keys
from shared import topology
from shared.bus import Answering, Bus, Receipt, Refusal, answering, on
from shared.bus.records import Begun
from shared.database import Database
from shared.events import ButtonClicked, Channel, Event, MessageRequested
from shared.queries import (
    GetRecipient,
    Introduced,
    IntroduceRecipients,
    Introductions,
    ListTemplates,
    PutRecipient,
    Query,
    RecipientView,
    TemplateList,
    TemplateView,
)
from shared.service import Service

EventT = TypeVar("EventT", bound=Event)

TOKEN = "123456:ABC-def_1234567890"
BOT_ID = 123456
SECRET = "s3cret_Token"
OWNER = 77
BROWSER_KEYS = {
    "p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
    "auth": "tBHItJI5svbpez7KI4CCXg",
}
"""Keys of a push subscription: of RFC 8291's kind, and nobody's."""
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEMPLATES = TemplateList(
    items=(
        TemplateView(
            name="position_failure_tp",
            required={
                Channel.EMAIL: ("instrument", "side", "profit_amount"),
                Channel.TELEGRAM: ("instrument", "side", "profit_amount"),
                Channel.PUSH: ("instrument", "side"),
            },
        ),
        TemplateView(name="letter", required={Channel.EMAIL: ("name",)}),
    )
)


class NoAttempts:
    """Remembers no attempts: for consumers of the tests."""

    async def begin(self, durable: str, key: str) -> Begun:
        """Say that nothing was tried."""
        return Begun(0, 0)

    async def fail(self, durable: str, key: str, error: str) -> int:
        """Count one."""
        return 1

    async def undo(self, durable: str, key: str) -> None:
        """Do nothing."""

    async def forget(self, durable: str, key: str) -> None:
        """Do nothing."""

    async def reachable(self) -> bool:
        """Be there."""
        return True


@dataclass
class Peers:
    """The other services, at the contract: what they were asked, and what they answer."""

    bus: Bus
    asked: list[Query[Any]] = field(default_factory=list)
    recipients: dict[UUID, RecipientView] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def answer(self, query_class: type[Query[Any]], reply: Callable[[Any], Any]) -> None:
        """Answer a query with what `reply` returns or awaits; a Refusal that it raises is the answer."""

        async def handle(query: Any) -> Any:
            self.asked.append(query)
            found = reply(query)
            return await found if inspect.isawaitable(found) else found

        answer: Answering = answering(query_class, handle)
        await self.stack.enter_async_context(self.bus.answer(answer))

    async def answer_as_senders(self) -> None:
        """Answer what the gateway asks of senders' directory and templates."""
        await self.answer(ListTemplates, lambda _: TEMPLATES)
        await self.answer(PutRecipient, self.put)
        await self.answer(IntroduceRecipients, self.introduce)
        await self.answer(GetRecipient, self.get)

    def put(self, command: PutRecipient) -> RecipientView:
        """Keep a recipient."""
        known = self.recipients.get(command.user_id)
        given = {
            name: value
            for name, value in command.model_dump(exclude={"cause", "user_id"}).items()
            if value is not None
        }
        before = known.model_dump(exclude={"version"}) if known else {"user_id": command.user_id}
        version = known.version + 1 if known else 1
        view = RecipientView.model_validate({**before, **given, "version": version})
        self.recipients[command.user_id] = view
        return view

    def introduce(self, command: IntroduceRecipients) -> Introductions:
        """Keep many recipients."""
        for each in command.people:
            self.put(PutRecipient.model_validate(each.model_dump()))
        return Introductions(items=tuple(Introduced(user_id=each.user_id) for each in command.people))

    def get(self, query: GetRecipient) -> RecipientView:
        """Show a recipient."""
        if query.user_id not in self.recipients:
            raise Refusal(404, "Unknown recipient", "there is no such recipient")
        return self.recipients[query.user_id]

    def of(self, query_class: type[Query[Any]]) -> list[Any]:
        """Return what was asked of a class."""
        return [query for query in self.asked if isinstance(query, query_class)]


@dataclass
class Wire:
    """The line between gateway and its database, which a test can cut."""

    port: int
    target: tuple[str, int]
    server: asyncio.Server | None = None
    lines: set[asyncio.StreamWriter] = field(default_factory=set)

    async def mend(self) -> None:
        """Let connections through."""
        self.server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        assert self.server is not None
        self.server.close()
        for line in self.lines:
            line.transport.abort()

    async def _join(self, near: asyncio.StreamReader, near_end: asyncio.StreamWriter) -> None:
        far, far_end = await asyncio.open_connection(*self.target)
        self.lines |= {near_end, far_end}
        await asyncio.gather(_pour(near, far_end), _pour(far, near_end))


async def _pour(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            into.write(data)
            await into.drain()
    into.close()


@dataclass
class Gateway:
    """A running gateway, and a way to each of its sides."""

    url: str
    http: aiohttp.ClientSession
    bus: Bus
    database: Database
    peers: Peers
    nats: Nats
    keys: dict[KeyRole, str]
    taken: list[Event]
    wire: Wire

    async def call(
        self, method: str, path: str, *, role: KeyRole | None = KeyRole.SERVICE, **more: Any
    ) -> tuple[int, Any]:
        """Call the API with a key of a role and return status and document."""
        headers = dict(more.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = f"Bearer {self.keys[role]}"
        async with self.http.request(method, f"{self.url}/api/v1{path}", headers=headers, **more) as response:
            assert response.content_type == (
                "application/json" if response.status < 400 else "application/problem+json"
            )
            return response.status, await response.json(content_type=None)

    async def hook(self, update: Any, *, bot: str = "default", **more: Any) -> tuple[int, Any]:
        """Deliver an update as Telegram does and return status and document, None for an empty body."""
        headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET, "Content-Type": "application/json"}
        headers |= more.pop("headers", {})
        body = {"json": update} if "data" not in more else {}
        url = f"{self.url}/telegram/{bot}/webhook"
        headers = {name: value for name, value in headers.items() if value is not None}
        async with self.http.post(url, headers=headers, **body, **more) as response:
            data = await response.read()
            return response.status, (await response.json(content_type=None) if data else None)

    async def eventually(self, event_class: type[EventT], count: int = 1) -> list[EventT]:
        """Return the distinct events of a class that came into the streams, once there are that many."""
        async with asyncio.timeout(60):
            while len(found := self.published(event_class)) < count:
                await asyncio.sleep(0.02)
        return found

    def published(self, event_class: type[EventT]) -> list[EventT]:
        """Return the distinct events of a class that have been seen so far."""
        return list({event.id: event for event in self.taken if isinstance(event, event_class)}.values())

    async def logged(self, update_id: int) -> dict[str, Any]:
        """Return the update's line in the log, once it is settled."""
        statement = text("SELECT * FROM telegram_webhooks WHERE update_id = :id AND status <> 'received'")
        async with asyncio.timeout(60):
            while (row := await self.database.row(statement, id=update_id)) is None:
                await asyncio.sleep(0.02)
        return dict(row)

    @staticmethod
    def message(
        update_id: int, words: str, *, user: int = 5, kind: str = "message", **chat: Any
    ) -> dict[str, Any]:
        """Return an update: somebody writes to the bot, in private unless a chat is given."""
        return {
            "update_id": update_id,
            kind: {
                "message_id": update_id + 1,
                "date": 1_700_000_000,
                "from": {"id": user, "is_bot": False, "first_name": "Ann", "language_code": "en"},
                "chat": chat or {"id": user, "type": "private"},
                "text": words,
            },
        }

    @staticmethod
    def press(update_id: int, data: Any, /, *, user: int = 5, **query: Any) -> dict[str, Any]:
        """Return an update: somebody presses a button with this data; `query` replaces parts of it."""
        return {
            "update_id": update_id,
            "callback_query": {
                "id": f"query{update_id}",
                "from": {"id": user, "is_bot": False, "first_name": "Ann", "username": "ann"},
                "message": {
                    "message_id": 2**40,
                    "chat": {"id": -1001234567890123, "type": "supergroup"},
                    "reply_markup": {"inline_keyboard": [[{"text": "Get it 🚀", "callback_data": data}]]},
                },
                "chat_instance": "1",
                "data": data,
                **query,
            },
        }


@pytest.fixture
async def database_url(fresh_database: Callable[[str], Awaitable[str]]) -> str:
    """Return the URL of an empty database of gateway."""
    return await fresh_database("gateway")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open an empty database of gateway."""
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def bus(prepared_nats: Nats) -> AsyncIterator[Bus]:
    """Return a connection of the test's own."""
    async with Bus.open(prepared_nats.url, service="test") as opened:
        yield opened


@pytest.fixture
async def peers(bus: Bus) -> AsyncIterator[Peers]:
    """Play the other services."""
    made = Peers(bus)
    async with made.stack:
        await made.answer_as_senders()
        yield made


@pytest.fixture
async def keys(database: Database) -> dict[KeyRole, str]:
    """Make a key of each role."""
    store = Keys(database)
    return {role: (await store.create_key(bytes([role]) * 32, role.word, role))[1] for role in KeyRole}


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    """Run a simulated Telegram that knows the bot."""
    async with Telegram.open() as opened, aiohttp.ClientSession() as http:
        bot = {"token": TOKEN, "username": "carillon_bot"}
        async with http.post(f"{opened.control_url}/bots", json=bot) as response:
            assert response.status < 300
        yield opened


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    """Lay a line to the database."""
    parts = urlsplit(database_url)
    made = Wire(free_port(), (parts.hostname or "127.0.0.1", parts.port or 5432))
    await made.mend()
    yield made
    await made.cut()


@pytest.fixture
def settings(prepared_nats: Nats, database_url: str, telegram: Telegram, wire: Wire) -> GatewaySettings:
    """Return the settings of a gateway with one bot and one owner."""
    return GatewaySettings.model_validate(
        {
            "nats_url": prepared_nats.url,
            "gateway_database_url": database_url.replace(f":{wire.target[1]}/", f":{wire.port}/"),
            "listen": f"127.0.0.1:{free_port()}",
            "telegram_bot_token": TOKEN,
            "telegram_webhook_secret": SECRET,
            "telegram_api_url": telegram.api_url,
            "owner_telegram_ids": [OWNER],
            "retry_seconds": (0.1, 0.1),
        }
    )


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client of the test's own."""
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def gateway(
    settings: GatewaySettings, keys: dict[KeyRole, str], database: Database, bus: Bus, peers: Peers,
    prepared_nats: Nats, wire: Wire,
) -> AsyncIterator[Gateway]:  # fmt: skip
    """Run a gateway, between a broker, a database, and peers that keep the contracts."""
    taken: list[Event] = []
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for name in ("clicks_presses", "senders_transactional_telegram", "senders_transactional_email",
                     "senders_transactional_push", "senders_campaign_email"):  # fmt: skip
            await stack.enter_async_context(listening(bus, name, taken))
        await stack.enter_async_context(app(settings, Service("gateway")))
        url = f"http://{settings.listen}"
        yield Gateway(url, http, bus, database, peers, prepared_nats, keys, taken, wire)


def listening(bus: Bus, name: str, taken: list[Event]) -> Any:
    """Consume another service's durable and keep what it is given."""

    async def keep(event: Event, _: Receipt) -> None:
        taken.append(event)

    event_class = ButtonClicked if topology.durable(name).stream == "CLICKS" else MessageRequested
    return bus.consume(name, on(event_class, keep), attempts=NoAttempts())
