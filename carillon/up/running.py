"""A whole stack, running: the world outside, broker and databases prepared, services, keys, webhook."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from carillon.keys import ensure_keys
from carillon.system import SERVICES, System
from carillon.up.identity import Identity, load, save, write_private
from carillon.up.outside import Outside, Say, outside
from carillon.up.processes import Processes, Replica
from deploy.prepare import PrepareSettings, prepare
from devstack.servers import free_port, make_folder, port_for
from devstack.stage import OWNER
from shared.telegram import BotApi

START_ORDER = ("clicks", "senders", "scheduler", "gateway")
"""The scheduler comes when its posts can be sent, the gateway when its questions are answered."""


@dataclass(frozen=True)
class Options:
    """How a stack is to run; `settings` are environment variables for the services."""

    folder: Path
    ephemeral: bool = False
    replicas: Mapping[str, int] = field(default_factory=dict)
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    before_services: Callable[[Outside], Awaitable[None]] | None = None
    """Called when the world outside is there and the services are not: to set a stage."""


@dataclass
class Stack:
    """A running stack: its addresses, its processes, and the world outside."""

    options: Options
    identity: Identity
    outside: Outside
    processes: Processes
    gateway_url: str
    started_at: datetime
    files: list[Path] = field(default_factory=list)
    """Where the addresses are written, again whenever a process id changes."""

    @property
    def system(self) -> System:
        """What commands and tests need to know, as the ready file says it."""
        found = self.outside
        return System(
            gateway_url=self.gateway_url,
            owner_key=self.identity.api_keys.get("owner"),
            service_key=self.identity.api_keys.get("service"),
            telegram_api_url=found.telegram_api_url,
            telegram_control_url=found.telegram_control_url,
            smtp_control_url=found.smtp_control_url,
            push_control_url=found.push_control_url,
            nats_url=found.nats_url,
            nats_monitor_url=found.nats_monitor_url,
            database_urls=found.database_urls,
            service_urls={name: [each.url for each in self.processes.of(name)] for name in SERVICES},
            pids={**found.pids, **self.processes.pids},
            webhook_url=f"{self.gateway_url}/telegram/default/webhook",
            webhook_secret=self.identity.webhook_secret,
            bot_token=found.bot_token,
            bot_username=found.bot_username,
            chat_ids=list(found.chat_ids),
        )

    def write(self) -> None:
        """Write the addresses, keys and process ids, for their owner's eyes only."""
        for file in self.files:
            write_private(file, self.system.model_dump())


@asynccontextmanager
async def running(options: Options, say: Say) -> AsyncIterator[Stack]:
    """Run a stack while the context lasts.

    Raises NotStarted, NotReady or NotPrepared, each with one line for whoever started it.
    """
    make_folder(options.folder)
    identity = load(options.folder)
    say("starting NATS, PostgreSQL and the simulators")
    async with (
        outside(options.folder, identity, ephemeral=options.ephemeral, given=options.given) as world,
        Processes.open(say) as processes,
        # `changed` is set once the stack is there: a reference taken now would be the one before.
        world.kept_up(say, lambda: processes.changed()),  # noqa: PLW0108 - as said above
    ):
        say("preparing streams, databases and tables")
        port = port_for(options.folder, "gateway", options.port)
        environment = _environment(options, identity, world, f"http://127.0.0.1:{port}")
        await prepare(_prepare_settings(options, world))
        identity.api_keys = await ensure_keys(world.database_urls["gateway"], identity.api_keys)
        save(options.folder, identity)
        stack = Stack(options, identity, world, processes, f"http://127.0.0.1:{port}", datetime.now(UTC))
        if options.before_services:
            await options.before_services(world)
        say("starting the four services")
        await processes.start(_replicas(options, environment, port))
        await _set_webhook(stack)
        stack.files.append(options.folder / "stack.json")
        processes.changed = stack.write
        stack.write()
        try:
            yield stack
        finally:
            (options.folder / "stack.json").unlink(missing_ok=True)
            say("stopping the services")


def _environment(options: Options, identity: Identity, world: Outside, gateway_url: str) -> dict[str, str]:
    """Return what every service gets: the caller's environment, and the addresses of the stack."""
    environment = {
        **options.given,
        "NATS_URL": world.nats_url,
        "DASHBOARD_URL": options.given.get("DASHBOARD_URL", "http://127.0.0.1:3000"),
        "PUBLIC_URL": options.given.get("PUBLIC_URL", gateway_url),
        "LINK_SIGNING_KEYS": options.given.get("LINK_SIGNING_KEYS", identity.link_signing_key),
        "TELEGRAM_WEBHOOK_SECRET": identity.webhook_secret,
        "PYTHONUNBUFFERED": "1",
    }
    for name, url in world.database_urls.items():
        environment[f"{name.upper()}_DATABASE_URL"] = url
    if world.telegram_api_url and world.bot_token:
        environment |= {"TELEGRAM_API_URL": world.telegram_api_url, "TELEGRAM_BOT_TOKEN": world.bot_token}
    if world.chat_ids:
        environment.setdefault("PROMO_CHAT_IDS", str(list(world.chat_ids)))
        environment.setdefault("OWNER_TELEGRAM_IDS", f"[{OWNER}]")
    if world.smtp:
        environment |= {"SMTP_HOST": world.smtp[0], "SMTP_PORT": str(world.smtp[1])}
        environment.setdefault("SMTP_FROM", "Carillon <carillon@example.com>")
        if world.smtp_control_url:
            environment["SMTP_TLS"] = "none"
    environment.setdefault("PUSH_VAPID_PRIVATE_KEY", identity.vapid_private_key)
    environment.setdefault("PUSH_VAPID_PUBLIC_KEY", identity.vapid_public_key)
    environment.setdefault("PUSH_VAPID_SUBJECT", "mailto:carillon@example.com")
    environment.setdefault("PUSH_HTTP_HOSTS", "127.0.0.1,localhost")
    return environment | dict(options.settings)


def _prepare_settings(options: Options, world: Outside) -> PrepareSettings:
    urls = {f"{name}_database_url": url for name, url in world.database_urls.items()}
    ack_wait = {**options.given, **options.settings}.get("ACK_WAIT_SECONDS")
    return PrepareSettings.model_validate(
        {
            "nats_url": world.nats_url,
            "nats_monitor_url": world.nats_monitor_url,
            "database_url": world.admin_database_url,
            "ack_wait_seconds": float(ack_wait) if ack_wait else None,
            **urls,
        }
    )


def _replicas(options: Options, environment: Mapping[str, str], gateway_port: int) -> list[Replica]:
    logs = options.folder / "logs"
    logs.mkdir(exist_ok=True)
    replicas = []
    for service in START_ORDER:
        for number in range(options.replicas.get(service, 1)):
            port = gateway_port if service == "gateway" and number == 0 else free_port()
            name = f"{service}-{number}" if number else service
            own = {**environment, "LISTEN": f"127.0.0.1:{port}"}
            replicas.append(Replica(service, number, f"http://127.0.0.1:{port}", own, logs / f"{name}.log"))
    return replicas


async def _set_webhook(stack: Stack) -> None:
    """Register the webhook at the simulated Telegram; at the real one it needs a public address."""
    found = stack.outside
    if not (found.telegram_control_url and found.telegram_api_url and found.bot_token):
        return
    async with aiohttp.ClientSession() as session:
        await BotApi(found.bot_token, found.telegram_api_url, session).call(
            "setWebhook", url=stack.system.webhook_url, secret_token=stack.identity.webhook_secret
        )
