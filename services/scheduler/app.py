"""The composition root of scheduler: what is opened, in which order, and who handles what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.scheduler import api, handlers
from services.scheduler.clock import Clock, catch_up, utc_now
from services.scheduler.domain.catalogue import SHIPPED
from services.scheduler.domain.schedule import Wanted
from services.scheduler.domain.timing import Every
from services.scheduler.settings import SchedulerSettings
from services.scheduler.store import Catalogue, Forgetting, PromoLog, Schedules, Slots
from shared import failpoints, markdown, queries, tasks, telemetry
from shared.bus import Answering, BatchRoute, Bus, Refusal, Route, answering, on, on_batch
from shared.database import Attempts, Database, is_conflict, is_unavailable
from shared.events import (
    Button,
    MessageAmbiguous,
    MessageFailed,
    MessageSent,
    MessageSuppressed,
    PromoDue,
    PromoPosted,
    RecipientForgotten,
    SlotSkipped,
)
from shared.record.keeping import keep
from shared.service import Service
from shared.templates import Templates

TEMPLATES = Path(__file__).parent / "templates"

RESOLVE_SECONDS = 4.0
"""Less than whoever asks scheduler waits."""

log = telemetry.logger(__name__)


@asynccontextmanager
async def app(settings: SchedulerSettings, service: Service) -> AsyncIterator[None]:
    """Run scheduler until the context is left."""
    failpoints.arm(settings.scheduler_failpoint)
    templates = Templates.load(TEMPLATES)
    async with (
        Database.open(settings.scheduler_database_url) as database,
        Bus.open(
            settings.nats_url,
            service=service.name,
            retry_seconds=settings.retry_seconds,
            on_failure=service.stop,
        ) as bus,
    ):
        service.ready_when("database", database.reachable)
        service.ready_when("broker", bus.connected)
        await catch_up(Slots(database), bus.streams)
        await settle(settings, Schedules(database), Catalogue(database), templates)
        clock = Clock(Slots(database), bus.publish)
        attempts = Attempts(database)
        promo_log, forgetting = PromoLog(database), Forgetting(database)
        async with (
            bus.consume_batches(
                "scheduler_promos", *promo_routes(promo_log), attempts=attempts, is_unavailable=is_unavailable
            ),
            bus.consume(
                "scheduler_outcomes",
                *outcome_routes(promo_log),
                attempts=attempts,
                is_unavailable=is_unavailable,
            ),
            bus.consume(
                "scheduler_forgotten",
                on(RecipientForgotten, lambda told, _: handlers.recipient_forgotten(told, forgetting)),
                attempts=attempts,
                is_unavailable=is_unavailable,
            ),
            bus.answer(
                *schedule_answers(Schedules(database), bus, clock),
                *promo_answers(Catalogue(database), templates, clock),
                *log_answers(promo_log),
                answering(queries.AuditScheduler, lambda query: api.audit(query, database, bus.streams)),
                answering(
                    queries.KeepScheduler,
                    lambda query: keep(settings.scheduler_database_url, bus.streams, query, handlers.KEEPING),
                ),
                is_unavailable=is_unavailable,
                is_conflict=is_conflict,
            ),
            ticking(clock, service),
        ):
            yield


async def settle(
    settings: SchedulerSettings, schedules: Schedules, catalogue: Catalogue, templates: Templates
) -> None:
    """Keep the default schedule to its settings, and promos to the templates that they follow."""
    wanted = Wanted(
        bot=settings.promo_bot,
        timing=Every(timedelta(hours=settings.promo_interval_hours)),
        validity=timedelta(seconds=settings.promo_validity_seconds),
        chat_ids=settings.promo_chat_ids,
    )
    if await schedules.settle_default(wanted, shipped_texts(templates), utc_now()) == "edited":
        log.warning("default_schedule_was_edited_settings_ignored")
    elif not settings.promo_chat_ids:
        log.warning("no_promo_chats_nothing_is_posted")
    await catalogue.follow_templates(lambda promo: followed(promo, templates))


def shipped_texts(templates: Templates) -> dict[str, str]:
    """Render the shipped promos by template; raises where Telegram would refuse one."""
    texts = {}
    for promo in SHIPPED:
        text = templates.render(promo.id, "telegram", {"title": promo.title}).text
        markdown.check(text, buttons=[[Button(text=promo.cta_text, payload=promo.payload)]])
        texts[promo.id] = text
    return texts


def followed(promo: queries.PromoView, templates: Templates) -> str | None:
    """Return what a promo's template makes of it today; None where it makes nothing that can be posted."""
    try:
        return api.text_of(api.draft_of(promo), templates)
    except Refusal as refusal:
        log.error("promo_keeps_its_old_text", promo_id=promo.id, problem=refusal.title)
        return None


def promo_routes(promo_log: PromoLog) -> tuple[BatchRoute, ...]:
    """Return who handles what scheduler itself has said of slots."""
    return (
        on_batch(PromoDue, lambda dues: handlers.promo_due(dues, promo_log)),
        on_batch(SlotSkipped, lambda skipped: handlers.slot_skipped(skipped, promo_log)),
    )


def outcome_routes(promo_log: PromoLog) -> tuple[Route, ...]:
    """Return who handles what became of posts."""
    return (
        on(PromoPosted, lambda outcome, _: handlers.promo_posted(outcome, promo_log)),
        on(MessageSent, lambda outcome, _: handlers.message_sent(outcome, promo_log)),
        on(MessageFailed, lambda outcome, _: handlers.message_failed(outcome, promo_log)),
        on(MessageSuppressed, lambda outcome, _: handlers.message_suppressed(outcome, promo_log)),
        on(MessageAmbiguous, lambda outcome, _: handlers.message_ambiguous(outcome, promo_log)),
    )


def schedule_answers(schedules: Schedules, bus: Bus, clock: Clock) -> tuple[Answering, ...]:
    """Return who answers questions and commands about schedules."""

    async def resolve(bot: str, chat: str) -> int:
        return (await bus.ask(queries.ResolveChat(bot=bot, chat=chat), timeout=RESOLVE_SECONDS)).chat_id

    return (
        answering(
            queries.StartSchedule, lambda query: api.start_schedule(query, schedules, utc_now(), clock.wake)
        ),
        answering(
            queries.StopSchedule, lambda query: api.stop_schedule(query, schedules, utc_now(), clock.wake)
        ),
        answering(
            queries.PauseSchedule, lambda query: api.pause_schedule(query, schedules, utc_now(), clock.wake)
        ),
        answering(
            queries.CreateSchedule, lambda query: api.create_schedule(query, schedules, resolve, utc_now())
        ),
        answering(
            queries.EditSchedule,
            lambda query: api.edit_schedule(query, schedules, resolve, utc_now(), clock.wake),
        ),
        answering(
            queries.DeleteSchedule, lambda query: api.delete_schedule(query, schedules, utc_now(), clock.wake)
        ),
        answering(queries.GetSchedule, lambda query: api.get_schedule(query, schedules)),
        answering(queries.ListSchedules, lambda _: api.list_schedules(schedules)),
        answering(queries.PlanSlots, lambda query: api.plan_slots(query, schedules, utc_now())),
    )


def promo_answers(catalogue: Catalogue, templates: Templates, clock: Clock) -> tuple[Answering, ...]:
    """Return who answers questions and commands about the catalogue."""
    return (
        answering(queries.ListPromos, lambda _: api.list_promos(catalogue)),
        answering(queries.GetPromo, lambda query: api.get_promo(query, catalogue)),
        answering(
            queries.CreatePromo, lambda query: api.create_promo(query, catalogue, templates, utc_now())
        ),
        answering(
            queries.EditPromo,
            lambda query: api.edit_promo(query, catalogue, templates, utc_now(), clock.wake),
        ),
        answering(
            queries.DeletePromo, lambda query: api.delete_promo(query, catalogue, utc_now(), clock.wake)
        ),
        answering(queries.ReorderPromos, lambda query: api.reorder_promos(query, catalogue, utc_now())),
        answering(queries.PreviewPromo, lambda query: api.preview_promo(query, catalogue, templates)),
    )


def log_answers(promo_log: PromoLog) -> tuple[Answering, ...]:
    """Return who answers questions about what was posted."""
    return (
        answering(queries.ListPromoLog, lambda query: api.list_promo_log(query, promo_log)),
        answering(queries.CountPosts, lambda query: api.count_posts(query, promo_log)),
    )


@asynccontextmanager
async def ticking(clock: Clock, service: Service) -> AsyncIterator[None]:
    """Run the clock while the context is open; a clock that breaks stops the service."""
    task = asyncio.create_task(clock.run(), name="clock")

    def broken(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("clock_broken", error=type(error).__name__, where=telemetry.where(error))
            service.stop("the clock is broken")

    task.add_done_callback(broken)
    try:
        yield
    finally:
        await tasks.cancel(task)
