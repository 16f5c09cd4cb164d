"""A simulated Telegram: the Bot API over HTTP, and a control API that plays the world around it."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiohttp import web

from devstack.telegram.clock import Clock
from devstack.telegram.cloud import Cloud, Conditions
from devstack.telegram.control import Control
from devstack.telegram.faults import Faults
from devstack.telegram.flood import Flood, Rules
from devstack.telegram.front import Front
from devstack.telegram.performing import reply_in_body
from devstack.telegram.records import Records
from devstack.telegram.webhook import Courier
from devstack.telegram.world import World

__all__ = ["Clock", "Conditions", "Rules", "Telegram"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Telegram:
    """A running simulator: `api_url` for bots, `control_url` for whoever plays the world."""

    api_url: str
    control_url: str
    cloud: Cloud

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        *,
        rules: Rules | None = None,
        conditions: Conditions | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        keep: int = 200_000,
        webhook_timeout: float = 60.0,
        webhook_retry_step: float = 2.0,
    ) -> AsyncIterator[Self]:
        """Run a simulator until the block is left; ports of 0 are chosen by the system.

        `keep` bounds each kind of record and the messages; `seed` makes ids repeatable.
        """
        async with AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(limit=0)
            cookies = aiohttp.DummyCookieJar()
            session = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector, cookie_jar=cookies, trust_env=False)
            )
            clock, faults = clock or Clock(), Faults()
            chance = random.Random(seed)  # noqa: S311 - ids of a simulator guard nothing
            cloud = Cloud(
                World(keep=keep),
                clock,
                Flood(rules or Rules()),
                faults,
                Records(keep),
                Courier(session, clock, faults, webhook_timeout, webhook_retry_step),
                conditions or Conditions(),
                chance,
                keep,
                reply_in_body,
            )
            api = await stack.enter_async_context(_served(Front(cloud).answer, host, port))
            control = Control(cloud, api)
            control_url = await stack.enter_async_context(_served(control.answer, host, control_port))
            stack.push_async_callback(cloud.leave)
            yield cls(api, control_url, cloud)


@asynccontextmanager
async def _served(handler: Handler, host: str, port: int) -> AsyncIterator[str]:
    """Serve HTTP and yield the address; without an access log, since the path holds the token."""
    server = web.Server(handler, access_log=None, max_line_size=256 * 1024, max_field_size=256 * 1024)
    runner = web.ServerRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()
