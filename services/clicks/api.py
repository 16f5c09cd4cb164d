"""What clicks answers."""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.clicks.domain import starts
from services.clicks.store import Clicks, Place, books
from shared.bus import Bus, Refusal, Streams
from shared.cursors import from_cursor, to_cursor
from shared.database import Database
from shared.events import ClickAnnotated, click_annotation_id
from shared.queries import (
    AnnotateClick,
    AuditClicks,
    Books,
    ClickPage,
    ClicksSeries,
    ClickView,
    CountClicks,
    GetClicksSeries,
    ListClicks,
    ListPostClicks,
    PostClicksPage,
    PromoClicksList,
)
from shared.record.books import balance
from shared.text import clean

SEEN_CHECKS = 100
SEEN_SECONDS = 0.02


async def list_clicks(query: ListClicks, clicks: Clicks) -> ClickPage:
    """Answer with the presses of a user, of a promo, of both, or of all, newest first."""
    user_ids = () if query.user_id is None else (query.user_id, *query.also)
    found = await clicks.newest(
        user_ids=user_ids, promo_id=query.promo_id, since=query.since, until=query.until,
        before=_place(query.cursor), limit=query.limit + 1,
    )  # fmt: skip
    items = tuple(found[: query.limit])
    more = len(found) > query.limit
    return ClickPage(items=items, cursor=to_cursor(items[-1].clicked_at, items[-1].id) if more else None)


async def count_clicks(query: CountClicks, clicks: Clicks) -> PromoClicksList:
    """Answer with the sums of a promo, or of all that were posted or pressed."""
    return PromoClicksList(items=tuple(await clicks.sums(query.promo_id, query.since, query.until)))


async def list_post_clicks(query: ListPostClicks, clicks: Clicks) -> PostClicksPage:
    """Answer with posted messages and how often each was pressed, newest first."""
    found = await clicks.posts(
        promo_id=query.promo_id, schedule_id=query.schedule_id, since=query.since, until=query.until,
        before=_place(query.cursor), limit=query.limit + 1,
    )  # fmt: skip
    items = tuple(found[: query.limit])
    more = len(found) > query.limit
    return PostClicksPage(
        items=items, cursor=to_cursor(items[-1].posted_at, items[-1].delivery_id) if more else None
    )


async def get_clicks_series(query: GetClicksSeries, clicks: Clicks) -> ClicksSeries:
    """Answer with a point for every hour or day of the time zone."""
    try:
        begins = starts(query.since, query.until, query.by, ZoneInfo(query.time_zone))
    except (ZoneInfoNotFoundError, OSError):
        raise Refusal(422, "Unknown time zone", "expected one such as Europe/Madrid") from None
    except ValueError as error:
        raise Refusal(422, "Invalid span", str(error)) from None
    return ClicksSeries(items=tuple(await clicks.series(begins, query.until, query.promo_id)))


async def annotate_click(query: AnnotateClick, clicks: Clicks, bus: Bus) -> ClickView:
    """Publish what became known of a press, and answer with the press as it is then."""
    click = await clicks.one(query.click_id)
    if click is None:
        raise Refusal(404, "Unknown click", "there is no such click")
    annotation = ClickAnnotated(
        id=click_annotation_id(query.click_id, query.cause),
        at=datetime.now(UTC),
        click_id=query.click_id,
        metadata=clean(query.metadata),
    )
    await bus.publish(annotation)
    # Who reads the press next must find what was written: the projection is a moment behind.
    for _ in range(SEEN_CHECKS):
        if await clicks.has_annotation(annotation.id):
            return await clicks.one(query.click_id) or click
        await asyncio.sleep(SEEN_SECONDS)
    return click.model_copy(update={"metadata": {**(click.metadata or {}), **annotation.metadata}})


def _place(cursor: str | None) -> Place | None:
    try:
        return from_cursor(cursor) if cursor else None
    except ValueError as error:
        raise Refusal(422, "Invalid cursor", str(error)) from None


async def audit(query: AuditClicks, database: Database, streams: Streams) -> Books:
    """Compare the tables with what the streams say up to a cut."""
    return await balance(database, streams, query.cut, books.SOURCES, books.LINES)
