"""The composition root of clicks: what is opened, in which order, and who handles what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.clicks import api, handlers
from services.clicks.settings import ClicksSettings
from services.clicks.store import Clicks
from shared.bus import Bus, answering, on, on_batch
from shared.database import Attempts, Database, is_conflict, is_unavailable
from shared.events import ButtonClicked, ClickAnnotated, PromoPosted, RecipientForgotten
from shared.queries import (
    AnnotateClick,
    AuditClicks,
    CountClicks,
    GetClicksSeries,
    KeepClicks,
    ListClicks,
    ListPostClicks,
)
from shared.record.keeping import keep
from shared.service import Service


@asynccontextmanager
async def app(settings: ClicksSettings, service: Service) -> AsyncIterator[None]:
    """Run clicks until the context is left."""
    async with (
        Database.open(settings.clicks_database_url) as database,
        Bus.open(
            settings.nats_url,
            service=service.name,
            retry_seconds=settings.retry_seconds,
            on_failure=service.stop,
        ) as bus,
    ):
        service.ready_when("database", database.reachable)
        service.ready_when("broker", bus.connected)
        clicks = Clicks(database)
        attempts = Attempts(database)
        async with (
            bus.answer(
                answering(ListClicks, lambda query: api.list_clicks(query, clicks)),
                answering(CountClicks, lambda query: api.count_clicks(query, clicks)),
                answering(ListPostClicks, lambda query: api.list_post_clicks(query, clicks)),
                answering(GetClicksSeries, lambda query: api.get_clicks_series(query, clicks)),
                answering(AnnotateClick, lambda query: api.annotate_click(query, clicks, bus)),
                answering(AuditClicks, lambda query: api.audit(query, database, bus.streams)),
                answering(
                    KeepClicks,
                    lambda query: keep(settings.clicks_database_url, bus.streams, query, handlers.KEEPING),
                ),
                is_unavailable=is_unavailable,
                is_conflict=is_conflict,
            ),
            bus.consume(
                "clicks_forgotten",
                on(RecipientForgotten, lambda told, _: handlers.recipient_forgotten(told, clicks)),
                attempts=attempts,
                is_unavailable=is_unavailable,
            ),
            bus.consume_batches(
                "clicks_posts",
                on_batch(PromoPosted, lambda posts: handlers.promo_posted(posts, clicks)),
                attempts=attempts,
                is_unavailable=is_unavailable,
            ),
            bus.consume_batches(
                "clicks_presses",
                on_batch(ButtonClicked, lambda presses: handlers.button_clicked(presses, clicks)),
                attempts=attempts,
                is_unavailable=is_unavailable,
            ),
            bus.consume_batches(
                "clicks_annotations",
                on_batch(ClickAnnotated, lambda notes: handlers.click_annotated(notes, clicks)),
                attempts=attempts,
                is_unavailable=is_unavailable,
            ),
        ):
            yield
