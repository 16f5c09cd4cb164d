"""The world outside of the services: servers and simulators, or what the environment gives instead."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from carillon.system import SERVICES
from carillon.up.identity import Identity
from devstack.nats import Nats
from devstack.postgres import Postgres
from devstack.push import PushService
from devstack.servers import NotStarted
from devstack.smtp import Inbox
from devstack.stage import BOT_USERNAME, CHATS, furnish
from devstack.telegram import Telegram

Say = Callable[[str], None]

RESTART_SECONDS = 1.0


@dataclass
class Outside:
    """Addresses of everything that the services talk to; control URLs only of simulators."""

    nats_url: str
    database_urls: dict[str, str]
    nats_monitor_url: str | None = None
    admin_database_url: str | None = None
    telegram_api_url: str | None = None
    telegram_control_url: str | None = None
    smtp: tuple[str, int] | None = None
    smtp_control_url: str | None = None
    push_control_url: str | None = None
    bot_token: str | None = None
    bot_username: str | None = None
    chat_ids: tuple[int, ...] = ()
    nats: Nats | None = None
    postgres: Postgres | None = None

    @property
    def pids(self) -> dict[str, list[int]]:
        """The process ids of the embedded servers."""
        servers = {"nats": self.nats, "postgres": self.postgres}
        return {name: [server.pid] for name, server in servers.items() if server}

    @asynccontextmanager
    async def kept_up(self, say: Say, changed: Callable[[], None]) -> AsyncIterator[None]:
        """Start an embedded server again when it dies, as a container engine would, until left."""
        servers = {"nats-server": self.nats, "PostgreSQL": self.postgres}
        watches = [
            asyncio.create_task(_keep(name, each, say, changed)) for name, each in servers.items() if each
        ]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)


@asynccontextmanager
async def outside(
    folder: Path, identity: Identity, *, ephemeral: bool, given: Mapping[str, str] = os.environ
) -> AsyncIterator[Outside]:
    """Open whatever the environment does not give. Raises devstack.servers.NotStarted in one line."""
    async with AsyncExitStack() as stack:
        found = Outside(nats_url=given.get("NATS_URL", ""), database_urls={})
        await _broker(found, stack, folder, given)
        await _databases(found, stack, folder, identity, given, ephemeral=ephemeral)
        await _telegram(found, stack, identity, given)
        await _mail(found, stack, given)
        push = await stack.enter_async_context(PushService.open())
        found.push_control_url = push.control_url
        yield found


async def _broker(found: Outside, stack: AsyncExitStack, folder: Path, given: Mapping[str, str]) -> None:
    if found.nats_url:
        found.nats_monitor_url = given.get("NATS_MONITOR_URL")
        return
    found.nats = await stack.enter_async_context(Nats.open(folder / "nats"))
    found.nats_url, found.nats_monitor_url = found.nats.url, found.nats.monitor_url


async def _databases(
    found: Outside,
    stack: AsyncExitStack,
    folder: Path,
    identity: Identity,
    given: Mapping[str, str],
    *,
    ephemeral: bool,
) -> None:
    admin = given.get("DATABASE_URL")
    if not admin:
        found.postgres = await stack.enter_async_context(
            Postgres.open(folder / "postgres", ephemeral=ephemeral)
        )
        admin = found.postgres.url
    found.admin_database_url = admin
    for name in SERVICES:
        own = given.get(f"{name.upper()}_DATABASE_URL")
        found.database_urls[name] = own or _url(admin, name, identity.database_passwords[name])


def _url(admin: str, service: str, password: str) -> str:
    parts = urlsplit(admin)
    where = parts.netloc.rpartition("@")[2]
    role = f"carillon_{service}"
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{where}", path=f"/{role}"))


async def _telegram(
    found: Outside, stack: AsyncExitStack, identity: Identity, given: Mapping[str, str]
) -> None:
    if api := given.get("TELEGRAM_API_URL"):
        found.telegram_api_url, found.bot_token = api, given.get("TELEGRAM_BOT_TOKEN")
        return
    telegram = await stack.enter_async_context(Telegram.open())
    found.telegram_api_url, found.telegram_control_url = telegram.api_url, telegram.control_url
    found.bot_token, found.bot_username, found.chat_ids = identity.bot_token, BOT_USERNAME, CHATS
    await furnish(telegram.control_url, identity.bot_token)


async def _mail(found: Outside, stack: AsyncExitStack, given: Mapping[str, str]) -> None:
    if host := given.get("SMTP_HOST"):
        found.smtp = (host, int(given.get("SMTP_PORT", "587")))
        return
    inbox = await stack.enter_async_context(Inbox.open())
    found.smtp, found.smtp_control_url = (inbox.host, inbox.port), inbox.control_url


async def _keep(name: str, server: Nats | Postgres, say: Say, changed: Callable[[], None]) -> None:
    while True:
        await server.ended()
        say(f"{name} ended and is started again")
        try:
            await asyncio.sleep(RESTART_SECONDS)
            await server.restart()
            changed()
        except NotStarted as problem:
            say(str(problem))


async def post(url: str, path: str, body: Any) -> Any:  # JSON in, JSON out
    """Ask a simulator's control API; raises aiohttp.ClientResponseError when it refuses."""
    async with aiohttp.ClientSession() as session, session.post(url + path, json=body) as answer:
        answer.raise_for_status()
        return await answer.json()


async def get(url: str, path: str) -> Any:  # JSON out
    """Read from a simulator's control API."""
    async with aiohttp.ClientSession() as session, session.get(url + path) as answer:
        answer.raise_for_status()
        return await answer.json()
