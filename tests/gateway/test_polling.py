"""Long polling, from the simulated Telegram into the stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from devstack.servers import free_port
from devstack.telegram import Telegram
from services.gateway.app import app
from services.gateway.settings import GatewaySettings
from shared import ids
from shared.bus import Bus
from shared.database import Database
from shared.events import ButtonClicked, Event
from shared.service import Service
from tests.gateway.conftest import BOT_ID, Gateway, Peers, listening
from tests.servers import AnyNats

DATA = f"p1.premium.{ids.to_short(ids.derived('delivery', 'one'))}"


class Street:
    """Telegram, and whoever plays the world around it."""

    def __init__(self, telegram: Telegram, http: aiohttp.ClientSession, database: Database) -> None:
        self._telegram, self.http, self._database = telegram, http, database

    async def hand_over(self, update: Any) -> None:
        """Have an update wait at Telegram."""
        await self.ask("/updates", {"bot_id": BOT_ID, "update": update})

    async def ask(self, path: str, body: Any = None) -> Any:
        """Ask the control API."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, self._telegram.control_url + path, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def logged(self) -> dict[int, str]:
        """Return the update log: status by update id."""
        rows = await self._database.rows(text("SELECT update_id, status FROM telegram_webhooks"))
        return {row["update_id"]: row["status"] for row in rows}

    async def until_logged(self, *numbers: int) -> None:
        """Wait until updates are done with."""
        async with asyncio.timeout(60):
            while not set(numbers) <= {
                key for key, value in (await self.logged()).items() if value != "received"
            }:
                await asyncio.sleep(0.05)

    async def polls(self) -> list[dict[str, Any]]:
        """Return the calls of getUpdates so far that were answered."""
        calls: list[dict[str, Any]] = (await self.ask("/calls?method=getUpdates"))["calls"]
        return calls


@pytest.fixture
async def street(telegram: Telegram, database: Database) -> AsyncIterator[Street]:
    """Play the world."""
    async with aiohttp.ClientSession() as http:
        yield Street(telegram, http, database)


@asynccontextmanager
async def polling(settings: GatewaySettings) -> AsyncIterator[None]:
    """Run a replica that polls, without a webhook secret."""
    changed = settings.model_copy(
        update={
            "telegram_receive": "polling",
            "telegram_webhook_secret": None,
            "listen": f"127.0.0.1:{free_port()}",
        }
    )
    async with app(changed, Service("gateway")):
        yield


def message(update_id: int, words: str = "/help") -> Any:
    """Return an update with a command."""
    return Gateway.message(update_id, words)


async def test_updates_are_polled_by_one_replica_at_a_time(
    settings: GatewaySettings, street: Street, bus: Bus, peers: Peers, prepared_nats: AnyNats
) -> None:
    """Of two replicas one polls, the other goes on when it leaves; a press is answered by a call, once."""
    taken: list[Event] = []
    async with AsyncExitStack() as both:
        await both.enter_async_context(listening(bus, "clicks_presses", taken))
        async with polling(settings):
            await both.enter_async_context(polling(settings))
            await street.hand_over(message(10))
            await street.hand_over(Gateway.press(11, DATA))
            await street.hand_over({"update_id": 12, "unheard_of": {}})
            await street.until_logged(10, 11, 12)
            async with asyncio.timeout(60):
                while not (answers := (await street.ask("/calls?method=answerCallbackQuery"))["calls"]):
                    await asyncio.sleep(0.05)
            assert all(each["status"] != 409 for each in await street.polls())
        await street.hand_over(message(13))
        await street.until_logged(13)
    assert len(answers) == 1
    assert [event.update_id for event in taken if isinstance(event, ButtonClicked)] == [11]
    assert all(each["status"] in (200, 0) for each in await street.polls())


async def test_nothing_is_confirmed_before_it_is_stored(
    settings: GatewaySettings, street: Street, peers: Peers, prepared_nats: AnyNats
) -> None:
    """While the broker is away updates wait at Telegram, and come in once it is back."""
    async with polling(settings):
        await street.hand_over(message(10))
        await street.until_logged(10)
        await prepared_nats.kill()
        await street.hand_over(message(11))
        await asyncio.sleep(1)
        token = settings.bots()["default"].token.get_secret_value()
        async with street.http.get(f"{settings.telegram_api_url}/bot{token}/getWebhookInfo") as response:
            assert (await response.json())["result"]["pending_update_count"] == 1
        await prepared_nats.restart()
        await street.until_logged(11)


async def test_a_webhook_in_the_way_is_said(
    settings: GatewaySettings, street: Street, telegram: Telegram, peers: Peers, capsys: Any, monkeypatch: Any
) -> None:
    """With an active webhook polling says what to do, and goes on by itself once that is done."""
    monkeypatch.setattr("services.gateway.api.polling.MISCONFIGURED_SECONDS", 0.2)
    token = settings.bots()["default"].token.get_secret_value()
    async with aiohttp.ClientSession() as http:
        hook = {"url": f"http://127.0.0.1:{free_port()}/"}
        async with http.post(f"{telegram.api_url}/bot{token}/setWebhook", json=hook) as response:
            assert response.status == 200
        async with polling(settings):
            async with asyncio.timeout(60):
                while "polling_blocked_by_webhook" not in (said := capsys.readouterr().out):
                    await asyncio.sleep(0.05)
            assert "carillon webhook delete" in said
            async with http.post(f"{telegram.api_url}/bot{token}/deleteWebhook") as response:
                assert response.status == 200
            await street.hand_over(message(10))
            await street.until_logged(10)
