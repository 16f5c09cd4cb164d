"""The composition root of gateway: what is opened, in which order, and who handles what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
from sqlalchemy.exc import SQLAlchemyError

from services.gateway import handlers
from services.gateway.api import (
    Door,
    Intake,
    Leaving,
    Poller,
    Redirects,
    Rush,
    Templates,
    Webhook,
    application,
    audit,
    body_limit,
    serve,
)
from services.gateway.api.push import pushing
from services.gateway.bot import Commands, Hands, Menu, every_command, shipped_guides
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.commands import Done
from services.gateway.domain.keys import Rate
from services.gateway.domain.updates import Written
from services.gateway.settings import GatewaySettings
from services.gateway.store import (
    Arrivals,
    Broadcasts,
    Guides,
    Idempotency,
    Keys,
    PublishedCommands,
    UpdateLog,
    User,
    Users,
)
from shared import tasks, telemetry
from shared.bus import (
    BatchRoute,
    Bus,
    BusUnavailable,
    Receipt,
    answering,
    on,
    on_batch,
    on_batch_or_alone,
)
from shared.database import Attempts, Database, is_conflict, is_unavailable
from shared.events import ButtonClicked, CampaignChanged, RecipientForgotten, UpdateReceived
from shared.queries import AuditGateway, KeepGateway
from shared.queues import Queues
from shared.record.keeping import keep
from shared.service import Service
from shared.telegram import BotApi

FORGET_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
AWAY = (SQLAlchemyError, OSError, TimeoutError, BusUnavailable)

log = telemetry.logger(__name__)


@asynccontextmanager
async def app(settings: GatewaySettings, service: Service) -> AsyncIterator[None]:
    """Run gateway until the context is left; requests are taken last and refused first."""
    async with (
        Database.open(settings.gateway_database_url) as database,
        Bus.open(
            settings.nats_url,
            service=service.name,
            retry_seconds=settings.retry_seconds,
            on_failure=service.stop,
        ) as bus,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        service.ready_when("database", database.reachable)
        service.ready_when("broker", bus.connected)
        bots = doors(settings)
        if not bots:
            log.warning("no_bot", how="set TELEGRAM_BOT_TOKEN and TELEGRAM_WEBHOOK_SECRET, or TELEGRAM_BOTS")
        users = Users(database, settings.owner_telegram_ids)
        update_log = UpdateLog(database, keeps_text=settings.update_text_days > 0)
        idempotency = Idempotency(database)
        announcer = handlers.Announcer(users, bus)
        guides = Guides(database)
        broadcasts = Broadcasts(database)
        hands = Hands(bus, users, guides, update_log, broadcasts)
        await guides.ship(shipped_guides())
        await say_who_owns(users)
        apis = connected(settings, bots, session)
        shown = Menu(every_command(), apis, users, PublishedCommands(database), utc_now)
        rush = Rush()
        intake = Intake(bus, utc_now, rush)
        webhook = Webhook(
            intake, bots, allowed=settings.telegram_ip_allowlist, trusted=settings.trusted_proxies
        )
        async with (
            in_background(service, "announcing", announcer.run),
            in_background(service, "menu", shown.settle),
            in_background(service, "broadcasting", handlers.Broadcaster(broadcasts, bus).run),
            in_background(service, "roles", shown.follow_roles),
            in_background(service, "forgetting", lambda: forget(settings, update_log, idempotency)),
            accounting(settings, bus, database, service),
            consuming(Attempts(database), bots, hands, announcer.wake, rush.over),
            serve(
                application(
                    door(settings, bus, database, idempotency, broadcasts, bots, service),
                    webhook,
                    Redirects(bus, bots, settings.links(), utc_now),
                    Leaving(bus, settings.links(), utc_now),
                ),
                webhook,
                settings.listen,
                largest=body_limit(bus.max_payload),
                shared=settings.listen_shared,
            ),
            polling(settings, apis, intake, database, service),
        ):
            yield


@asynccontextmanager
async def accounting(
    settings: GatewaySettings, bus: Bus, database: Database, service: Service
) -> AsyncIterator[None]:
    """Answer for the books until the context ends, and trim the streams of what they have noted."""
    trimmer = handlers.Trimmer(database, bus, settings.ages(), utc_now)
    async with (
        bus.answer(
            answering(AuditGateway, lambda query: audit(query, database, bus.streams)),
            answering(
                KeepGateway,
                lambda query: keep(settings.gateway_database_url, bus.streams, query, handlers.KEEPING),
            ),
            is_unavailable=is_unavailable,
            is_conflict=is_conflict,
        ),
        in_background(service, "trimming", trimmer.run),
    ):
        yield


def door(
    settings: GatewaySettings,
    bus: Bus,
    database: Database,
    idempotency: Idempotency,
    broadcasts: Broadcasts,
    bots: Mapping[str, DoorBot],
    service: Service,
) -> Door:
    """Return what the API needs."""
    rate = Rate(settings.api_per_second, settings.api_burst) if settings.api_per_second else None
    origins = frozenset(settings.cors_origins)
    return Door(
        bus,
        Keys(database),
        idempotency,
        Templates(bus),
        Guides(database),
        broadcasts,
        bots,
        service,
        utc_now,
        rate,
        origins,
        pushing(settings),
        settings.senders(),
    )


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def doors(settings: GatewaySettings) -> dict[str, DoorBot]:
    """Return the bots as the webhook knows them."""
    return {
        name: DoorBot(
            name, bot.id, bot.webhook_secret.get_secret_value().encode() if bot.webhook_secret else None
        )
        for name, bot in settings.bots().items()
    }


def connected(
    settings: GatewaySettings, bots: Mapping[str, DoorBot], session: aiohttp.ClientSession
) -> list[tuple[DoorBot, BotApi]]:
    """Return the bots with their ways to Telegram."""
    return [
        (bots[name], BotApi(bot.token.get_secret_value(), settings.telegram_api_url, session))
        for name, bot in settings.bots().items()
    ]


@asynccontextmanager
async def polling(
    settings: GatewaySettings,
    apis: Sequence[tuple[DoorBot, BotApi]],
    intake: Intake,
    database: Database,
    service: Service,
) -> AsyncIterator[None]:
    """Poll for every bot while the context is open, where updates come so."""
    async with AsyncExitStack() as stack:
        if settings.telegram_receive == "polling":
            for bot, api in apis:
                poller = Poller(bot, api, intake, database)
                await stack.enter_async_context(in_background(service, f"polling {bot.name}", poller.run))
        yield


@asynccontextmanager
async def consuming(
    attempts: Attempts,
    bots: Mapping[str, DoorBot],
    hands: Hands,
    wake: Callable[[], None],
    turn: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Handle updates and presses while the context is open, each when it is their turn."""
    bus, users, update_log = hands.bus, hands.users, hands.log
    commands = Commands(every_command(), bots, hands)

    async def take_presses(presses: list[ButtonClicked]) -> None:
        await handlers.button_clicked(presses, users, update_log)
        wake()

    async with (
        closing(commands),
        bus.consume_batches(
            "gateway_updates",
            update_route(commands, hands, wake),
            attempts=attempts,
            is_unavailable=is_unavailable,
            turn=turn,
        ),
        bus.consume(
            "gateway_campaigns",
            on(CampaignChanged, lambda event, _: handlers.campaign_changed(event, hands.broadcasts)),
            attempts=attempts,
            is_unavailable=is_unavailable,
        ),
        bus.consume_batches(
            "gateway_presses",
            on_batch(ButtonClicked, lambda presses: take_presses(list(presses))),
            attempts=attempts,
            is_unavailable=is_unavailable,
            turn=turn,
        ),
        bus.consume(
            "gateway_forgotten",
            on(RecipientForgotten, lambda told, _: handlers.recipient_forgotten(told, users, update_log)),
            attempts=attempts,
            is_unavailable=is_unavailable,
        ),
    ):
        yield


def update_route(commands: Commands, hands: Hands, wake: Callable[[], None]) -> BatchRoute:
    """Return who handles updates: many together, but each by itself of which something is to be done."""
    arrivals, queues, bus = Arrivals(hands.log, hands.users), Queues(), hands.bus

    async def do(update: UpdateReceived, written: Written, user: User | None, now: datetime) -> Done:
        if update.kind == "my_chat_member":
            return await handlers.tell_of_chat(update, bus, now)
        return await commands.run(update, written, user, now)

    async def take_one(update: UpdateReceived, _receipt: Receipt) -> None:
        await handlers.update_received(update, arrivals, do, queues, bus.publish, utc_now())
        wake()

    async def take_many(updates: Sequence[UpdateReceived]) -> None:
        await handlers.updates_written_down(updates, arrivals, bus.publish_all, utc_now())
        wake()

    return on_batch_or_alone(
        UpdateReceived, take_many, alone=handlers.asks_for_something, handle_one=take_one
    )


@asynccontextmanager
async def closing(commands: Commands) -> AsyncIterator[None]:
    """Give up what commands do for later when the context ends."""
    try:
        yield
    finally:
        await commands.close()


async def say_who_owns(users: Users) -> None:
    """Have senders told of the owners, and say how to name one where there is none."""
    await users.announce_owners_again()
    if not users.owners and not any(user.role.word == "owner" for user in await users.privileged()):
        log.warning("no_owner", how="set OWNER_TELEGRAM_IDS to a JSON array of Telegram ids")


async def forget(settings: GatewaySettings, update_log: UpdateLog, idempotency: Idempotency) -> None:
    """Forget every hour what people wrote too long ago, and old idempotency keys."""
    while True:
        while await update_log.purge_texts(utc_now() - timedelta(days=settings.update_text_days)):
            await asyncio.sleep(0)
        await idempotency.purge()
        await asyncio.sleep(FORGET_SECONDS)


@asynccontextmanager
async def in_background(
    service: Service,
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    again_seconds: float = AGAIN_SECONDS,
) -> AsyncIterator[None]:
    """Run something beside everything else, again when a dependency was away; if it breaks, stop."""

    async def keep_running() -> None:
        while True:
            try:
                return await run()
            except AWAY as error:
                log.warning("background_waits", what=name, error=type(error).__name__)
                await asyncio.sleep(again_seconds)

    def broken(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error(
                "background_broken", what=name, error=type(error).__name__, where=telemetry.where(error)
            )
            service.stop(f"{name} is broken")

    task = asyncio.create_task(keep_running(), name=name)
    task.add_done_callback(broken)
    try:
        yield
    finally:
        await tasks.cancel(task)
