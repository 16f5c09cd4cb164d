"""What the tests of the simulated Telegram share: a simulator, raw calls to it, and a webhook's receiver."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from devstack.telegram import Clock as Running
from devstack.telegram import Telegram

TOKEN = "123456:ABC-def_1234567890"
USER = 42
SECRET = "s3cret_Token"


class Clock(Running):
    """The simulator's time, which can be made to move by `advance` only."""

    def __init__(self) -> None:
        super().__init__()
        self._stands_at: float | None = None

    def stop(self) -> None:
        """Stand still from now on."""
        self._stands_at = super().monotonic() - self._ahead

    def monotonic(self) -> float:
        """Return a time that never goes back."""
        return super().monotonic() if self._stands_at is None else self._stands_at + self._ahead


@dataclass
class Street:
    """A simulator with one bot, and the two HTTP sides of it."""

    telegram: Telegram
    http: aiohttp.ClientSession
    clock: Clock
    token: str = TOKEN
    user: int = USER

    async def control(self, method: str, path: str, /, expect: int = 200, **fields: Any) -> dict[str, Any]:
        """Ask the control API, expecting a status."""
        url = self.telegram.control_url + path
        async with self.http.request(method, url, json=fields or None) as response:
            body: dict[str, Any] = await response.json()
            assert response.status == expect, body
            return body

    async def call(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """Call a Bot API method with a JSON body and return what is told."""
        url = f"{self.telegram.api_url}/bot{self.token}/{method}"
        async with self.http.post(url, json=fields) as response:
            told: dict[str, Any] = await response.json()
            assert told["ok"] is (response.status == 200), told
            return told

    async def result(self, method: str, **fields: Any) -> Any:
        """Call a Bot API method that is to succeed and return its result."""
        told = await self.call(method, **fields)
        assert told["ok"], told
        return told["result"]

    async def refusal(self, method: str, **fields: Any) -> tuple[int, str]:
        """Call a Bot API method that is to be refused and return code and description."""
        told = await self.call(method, **fields)
        assert not told["ok"], told
        return told["error_code"], told["description"]

    async def struck(self) -> None:
        """Wait until every fault has struck."""
        async with asyncio.timeout(60):
            while self.telegram.cloud.faults.in_force:
                await asyncio.sleep(0.005)

    async def polled(self) -> None:
        """Wait until a poll waits."""
        bot = self.telegram.cloud.world.bot_of_token(self.token)
        assert bot is not None
        async with asyncio.timeout(60):
            while bot.updates.listener is None:
                await asyncio.sleep(0.005)

    async def chat(self, kind: str, **fields: Any) -> int:
        """Make a chat and return its id."""
        made: int = (await self.control("POST", "/chats", type=kind, **fields))["id"]
        return made

    async def post(self, chat_id: int = USER, text: str = "Look", **fields: Any) -> int:
        """Post a message with a callback button and return its number."""
        button = {"text": "Go 🚀", "callback_data": "p1.premium.x"}
        markup = {"inline_keyboard": [[button]]}
        sent = await self.result("sendMessage", chat_id=chat_id, text=text, reply_markup=markup, **fields)
        number: int = sent["message_id"]
        return number


@dataclass
class Receiver:
    """A webhook's receiver that remembers what it got and answers what it is told to."""

    url: str = ""
    got: list[tuple[web.BaseRequest, bytes]] = field(default_factory=list)
    respond: Callable[[dict[str, Any]], Awaitable[web.Response]] | None = None
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def updates(self) -> list[dict[str, Any]]:
        """What was delivered, in order of arrival."""
        return [json.loads(body) for _, body in self.got]

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Take an update."""
        body = await request.read()
        self.got.append((request, body))
        async with self.arrived:
            self.arrived.notify_all()
        return await self.respond(json.loads(body)) if self.respond else web.Response()

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Return the updates once there are that many."""
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.got) >= count)
        return self.updates


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Run a simulator with a bot and a private chat, its clock real until it is advanced."""
    clock = Clock()
    async with (
        Telegram.open(clock=clock, webhook_timeout=5) as telegram,
        aiohttp.ClientSession() as http,
    ):
        made = Street(telegram, http, clock)
        await made.control("POST", "/bots", token=TOKEN, username="carillon_bot")
        await made.control("POST", "/users", id=USER, first_name="Ann", language_code="en")
        await made.chat("private", user_id=USER)
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Run a webhook's receiver."""
    made = Receiver()
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?x=1"
    yield made
    await runner.cleanup()
