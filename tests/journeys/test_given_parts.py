"""What the environment gives is used instead of the embedded part."""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from carillon.system import System
from carillon.up.outside import post
from devstack.smtp import Inbox
from devstack.telegram import Telegram
from tests.journeys.conftest import Running, World, start, stop
from tests.servers import CONTAINERS, AnyNats, AnyPostgres

pytestmark = [pytest.mark.xdist_group("commands"), pytest.mark.timeout(300)]
if not CONTAINERS:
    # On containers it is part of what is tried every time; on embedded servers it takes its time.
    pytestmark.append(pytest.mark.slow)

TOKEN = "7654321:abcdefghijklmnopqrstuvwxyz0123456789"


async def test_a_system_on_given_servers_starts_none_of_its_own(
    tmp_path: Path, postgres_server: AnyPostgres, nats_server: AnyNats
) -> None:
    """NATS_URL, DATABASE_URL, TELEGRAM_API_URL and SMTP_HOST replace the embedded parts, and all works."""
    async with Telegram.open() as telegram, Inbox.open() as inbox, aiohttp.ClientSession() as session:
        await post(telegram.control_url, "/bots", {"token": TOKEN, "username": "given_bot"})
        await post(telegram.control_url, "/chats", {"type": "private", "user_id": 5})
        running = await _started(
            tmp_path,
            NATS_URL=nats_server.url,
            NATS_MONITOR_URL=nats_server.monitor_url,
            DATABASE_URL=postgres_server.url,
            TELEGRAM_API_URL=telegram.api_url,
            TELEGRAM_BOT_TOKEN=TOKEN,
            SMTP_HOST=inbox.host,
            SMTP_PORT=str(inbox.port),
            SMTP_TLS="none",
            PROMO_CHAT_IDS="[5]",
        )
        system = running.system
        assert (system.nats_url, system.telegram_api_url) == (nats_server.url, telegram.api_url)
        assert set(system.pids) == {"scheduler", "clicks", "senders", "gateway"}
        world = World(running, session)
        mail = {"channels": ["email"], "address": {"email": "a@example.com"}, "body": {"text": "given"}}
        _, accepted = await world.api("POST", "/messages", mail)
        assert (await world.message(accepted["id"]))["state"] == "sent"
        assert len(inbox.postbox.mails) == 1

        async def posted() -> bool:
            async with session.get(f"{telegram.control_url}/sent") as answer:
                return bool((await answer.json())["sent"])

        await world.until(posted)
        assert running.audit()["balanced"]
        assert stop(running) == 0


async def _started(tmp_path: Path, **given: str) -> Running:
    return await asyncio.to_thread(start, tmp_path / "stack", **given)


def test_a_stack_is_found_by_option_then_variable_then_folder_then_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--stack comes before CARILLON_STACK, that before .carillon/, that before the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATS_URL", "nats://environment:1")
    monkeypatch.delenv("CARILLON_STACK", raising=False)
    assert System.find(None).nats_url == "nats://environment:1"
    Path(".carillon").mkdir()
    Path(".carillon/stack.json").write_text('{"nats_url": "nats://folder:1"}')
    assert System.find(None).nats_url == "nats://folder:1"
    Path("variable.json").write_text('{"nats_url": "nats://variable:1"}')
    monkeypatch.setenv("CARILLON_STACK", "variable.json")
    assert System.find(None).nats_url == "nats://variable:1"
    Path("option.json").write_text('{"nats_url": "nats://option:1"}')
    assert System.find(Path("option.json")).nats_url == "nats://option:1"
    assert os.environ["NATS_URL"] == "nats://environment:1"
