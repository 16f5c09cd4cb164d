"""The composition root of senders: what is opened, in which order, and who handles what."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from services.senders import api, handlers
from services.senders.channels import Channel as Sender
from services.senders.channels.email import EmailChannel
from services.senders.channels.push import PushChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.channels.telegram import TelegramChannel
from services.senders.channels.vapid import VapidTokens
from services.senders.domain.limits import PRESETS, Limits
from services.senders.domain.policy import Policy
from services.senders.handlers.following import Redirects
from services.senders.settings import SendersSettings
from services.senders.store import Audiences, Campaigns, Governor, Ledger, Recipients
from shared import failpoints, metrics, telemetry
from shared.bus import Answering, Bus, answering, on, on_batch, on_dead_letter
from shared.database import Attempts, Database, is_conflict, is_unavailable
from shared.events import ButtonClicked, Channel, MessageRequested, PromoCancelled, PromoDue
from shared.links import unsubscribe_url
from shared.mail import address_of
from shared.push import PushServices
from shared.queries import (
    AddCampaignRecipients,
    AuditSenders,
    CancelCampaign,
    CancelMessage,
    CreateCampaign,
    EstimateCampaign,
    GetCampaign,
    GetMessage,
    KeepSenders,
    ListCampaigns,
    ListMessages,
    ListTemplates,
    PauseCampaign,
    ResolveChat,
    ResumeCampaign,
    StartCampaign,
)
from shared.queues import Queues
from shared.record.keeping import keep
from shared.service import Service
from shared.templates import trying

POOL = 30
UNLIMITED = 160
"""Messages of a lane and channel that are under way at once where no limit holds them back."""
TEMPLATES = Path(__file__).parent / "templates"
LANES = tuple(f"senders_{lane}_{channel}" for lane in ("transactional", "campaign") for channel in Channel)

log = telemetry.logger(__name__)


@asynccontextmanager
async def app(settings: SendersSettings, service: Service) -> AsyncIterator[None]:
    """Run senders until the context is left."""
    failpoints.arm(settings.senders_failpoint)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(settings.senders_database_url, pool_size=POOL)
        )
        bus = await stack.enter_async_context(
            Bus.open(
                settings.nats_url,
                service=service.name,
                retry_seconds=settings.retry_seconds,
                on_failure=service.stop,
            )
        )
        service.ready_when("database", database.reachable)
        service.ready_when("broker", bus.connected)
        senders = await _channels(settings, stack)
        ledger = Ledger(
            database, lease_seconds=settings.send_lease_seconds, hold_seconds=settings.send_hold_seconds
        )
        push = senders.get(Channel.PUSH)
        default_bot = next(iter(settings.bots()), None)
        recipients, campaigns = Recipients(database), Campaigns(database, default_bot)
        announcer = handlers.Announcer(bus.publish, ledger, recipients, campaigns)
        desk = handlers.Desk(
            ledger=ledger,
            governor=Governor(database),
            recipients=recipients,
            announcer=announcer,
            senders=senders,
            templates=trying.load(TEMPLATES, {"dashboard_url": settings.dashboard_url}),
            limits=_limits(settings),
            policy=_policy(settings),
            publish=bus.publish,
            default_bot=default_bot,
            redirects=_redirects(settings),
            unsubscribe_url=_unsubscribe_url(settings),
            push_key=push.key if isinstance(push, PushChannel) else None,
        )
        estimates = api.Estimates(Audiences(database, default_bot), desk.limits)
        await _answer(
            stack, bus, desk, campaigns, estimates, settings.known_push_services(), _letter_senders(settings)
        )
        audit = answering(AuditSenders, lambda query: api.audit(query, database, bus.streams))
        kept = answering(
            KeepSenders,
            lambda query: keep(settings.senders_database_url, bus.streams, query, handlers.KEEPING),
        )
        await stack.enter_async_context(
            bus.answer(audit, kept, is_unavailable=is_unavailable, is_conflict=is_conflict)
        )
        workers = {} if desk.limits.on else {"workers": UNLIMITED}
        rounds = asyncio.create_task(handlers.Rounds(desk, campaigns, announcer, **workers).run())
        rounds.add_done_callback(lambda task: _ended(task, service))
        stack.push_async_callback(_cancel, rounds)
        await _consume(stack, bus, desk, Attempts(database))
        yield


async def _channels(settings: SendersSettings, stack: AsyncExitStack) -> Mapping[Channel, Sender]:
    """Open every channel that is set up; say once which are not."""
    senders: dict[Channel, Sender] = {}
    if bots := settings.bots():
        senders[Channel.TELEGRAM] = await stack.enter_async_context(
            TelegramChannel.open(bots, settings.telegram_api_url, seconds=settings.telegram_timeout_seconds)
        )
    if settings.smtp_host and settings.smtp_from:
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        server = SmtpServer(
            settings.smtp_host, settings.smtp_port, settings.smtp_tls, settings.smtp_user or None, password,
            connections=settings.smtp_connections,
        )  # fmt: skip
        senders[Channel.EMAIL] = await stack.enter_async_context(
            EmailChannel.open(server, settings.smtp_from, _now, others=settings.senders())
        )
    if settings.push_vapid_private_key and settings.push_vapid_subject:
        tokens = VapidTokens(settings.push_vapid_private_key.get_secret_value(), settings.push_vapid_subject)
        senders[Channel.PUSH] = await stack.enter_async_context(
            PushChannel.open(tokens, _now, services=settings.known_push_services())
        )
    for channel in Channel:
        if channel not in senders:
            log.warning("channel_off", channel=channel)
    return senders


async def _answer(
    stack: AsyncExitStack,
    bus: Bus,
    desk: handlers.Desk,
    campaigns: Campaigns,
    estimates: api.Estimates,
    push_services: PushServices,
    letter_senders: Collection[str],
) -> None:
    ledger, announcer = desk.ledger, desk.announcer
    tell = api.Telling(announcer.recipients, announcer.forgotten, announcer.chats)
    await stack.enter_async_context(
        bus.answer(
            answering(ListTemplates, lambda query: api.list_templates(query, desk.templates, letter_senders)),
            answering(
                ResolveChat,
                lambda query: api.resolve_chat(query, desk.senders.get(Channel.TELEGRAM), desk.default_bot),
            ),
            answering(GetMessage, lambda query: api.get_message(query, ledger)),
            answering(ListMessages, lambda query: api.list_messages(query, ledger)),
            answering(CancelMessage, lambda command: api.cancel_message(command, ledger, announcer.outcome)),
            *api.directory(desk.recipients, tell, push_services),
            *_campaign_answers(desk, campaigns, estimates),
            is_unavailable=is_unavailable,
            is_conflict=is_conflict,
        )
    )


def _campaign_answers(
    desk: handlers.Desk, campaigns: Campaigns, estimates: api.Estimates
) -> Sequence[Answering]:
    return (
        answering(
            CreateCampaign,
            lambda command: api.create_campaign(command, campaigns, desk.templates, estimates),
        ),
        answering(GetCampaign, lambda query: api.get_campaign(query, campaigns)),
        answering(ListCampaigns, lambda query: api.list_campaigns(query, campaigns)),
        answering(AddCampaignRecipients, lambda command: api.add_campaign_recipients(command, campaigns)),
        answering(StartCampaign, lambda command: api.start_campaign(command, campaigns, estimates)),
        answering(PauseCampaign, lambda command: api.pause_campaign(command, campaigns)),
        answering(ResumeCampaign, lambda command: api.resume_campaign(command, campaigns)),
        answering(CancelCampaign, lambda command: api.cancel_campaign(command, campaigns)),
        answering(EstimateCampaign, lambda query: api.estimate_campaign(query, campaigns, estimates)),
    )


async def _consume(stack: AsyncExitStack, bus: Bus, desk: handlers.Desk, attempts: Attempts) -> None:
    ledger, announcer, queues = desk.ledger, desk.announcer, Queues()
    requested = on(
        MessageRequested, lambda event, receipt: handlers.message_requested(event, receipt, desk, queues)
    )
    routes = dict.fromkeys(LANES, requested) | {
        "senders_promos": on(
            PromoDue, lambda event, receipt: handlers.promo_due(event, receipt, desk, queues)
        ),
        "senders_cancellations": on(
            PromoCancelled, lambda event, _: handlers.promo_cancelled(event, ledger, announcer)
        ),
        "senders_dead_letters": on_dead_letter(
            lambda letter: handlers.dead_letter(letter, ledger, announcer)
        ),
    }
    for name, route in routes.items():
        await stack.enter_async_context(
            bus.consume(
                name,
                route,
                attempts=attempts,
                is_unavailable=is_unavailable,
                concurrency=UNLIMITED if name in LANES and not desk.limits.on else None,
            )
        )
    await stack.enter_async_context(
        bus.consume_batches(
            "senders_presses",
            on_batch(ButtonClicked, lambda presses: handlers.button_clicked(presses, ledger, announcer)),
            attempts=attempts,
            is_unavailable=is_unavailable,
        )
    )


def _letter_senders(settings: SendersSettings) -> Collection[str]:
    """Return the addresses that a letter may name as its sender."""
    return {address_of(settings.smtp_from), *settings.senders()} if settings.smtp_from else ()


def _redirects(settings: SendersSettings) -> Redirects | None:
    links = settings.links()
    return Redirects(links, settings.public_url) if links and settings.public_url else None


def _limits(settings: SendersSettings) -> Limits:
    """Return the preset's numbers, but for those that are set by themselves."""
    chosen = {
        "bot_per_second": settings.telegram_per_second,
        "private_chat_per_second": settings.telegram_private_per_second,
        "group_per_minute": settings.telegram_group_per_minute,
        "email_per_minute": settings.email_per_minute,
        "email_domain_per_minute": settings.email_domain_per_minute,
    }
    changes: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    limits = replace(PRESETS[settings.send_limits], **changes)
    metrics.RATE_LIMIT_RATE.labels(key="bot").set(limits.bot_per_second)
    metrics.RATE_LIMIT_RATE.labels(key="email").set(limits.email_per_minute / 60)
    return limits


def _unsubscribe_url(settings: SendersSettings) -> Callable[[UUID], str] | None:
    """Return what makes the links that campaigns' letters are left by; say once where there is none."""
    links, base = settings.links(), settings.public_url
    if links is None or base is None:
        if settings.smtp_host:
            log.warning("campaign_letters_off", how="set PUBLIC_URL and LINK_SIGNING_KEYS")
        return None
    return lambda delivery_id: unsubscribe_url(links, base, delivery_id)


def _policy(settings: SendersSettings) -> Policy:
    return Policy(
        no_effect_seconds=settings.send_retry_seconds,
        greylist_seconds=settings.greylist_seconds,
        unforeseen_seconds=settings.retry_seconds,
        down_seconds=settings.provider_down_seconds,
        stopped_seconds=settings.provider_stopped_seconds,
    )


def _ended(task: asyncio.Task[None], service: Service) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("rounds_failed", error=type(error).__name__, where=telemetry.where(error))
        service.stop("the rounds ended unexpectedly")


async def _cancel(rounds: asyncio.Task[None]) -> None:
    """Cancel the rounds, once: they end when the attempts that run have ended."""
    rounds.cancel()
    await asyncio.wait([rounds])


def _now() -> datetime:
    return datetime.now(UTC)
