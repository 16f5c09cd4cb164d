"""What scheduler answers."""

from collections.abc import Callable
from datetime import datetime

from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import Catalogue, PromoLog, Schedules, UnknownSchedule, books
from shared.bus import Refusal, Streams
from shared.cursors import from_cursor, to_cursor
from shared.database import Database
from shared.queries import (
    AuditScheduler,
    Books,
    ListPromoLog,
    PromoList,
    PromoLogPage,
    ScheduleChanged,
    ScheduleList,
    StartSchedule,
    StopSchedule,
)
from shared.record.books import balance


async def start_schedule(
    query: StartSchedule, schedules: Schedules, now: datetime, wake: Callable[[], None]
) -> ScheduleChanged:
    """Activate a schedule and have its first promo posted at once."""
    try:
        answer = await schedules.start(query.schedule_id or DEFAULT_SCHEDULE, query.cause, now)
    except UnknownSchedule:
        raise _unknown(query) from None
    wake()
    return answer


async def stop_schedule(
    query: StopSchedule, schedules: Schedules, now: datetime, wake: Callable[[], None]
) -> ScheduleChanged:
    """Stop a schedule and have what is unsent cancelled at once."""
    try:
        answer = await schedules.stop(query.schedule_id or DEFAULT_SCHEDULE, query.cause, now)
    except UnknownSchedule:
        raise _unknown(query) from None
    wake()
    return answer


async def list_schedules(schedules: Schedules) -> ScheduleList:
    """Answer with the status of every schedule."""
    return ScheduleList(items=tuple(await schedules.views()))


async def list_promos(catalogue: Catalogue) -> PromoList:
    """Answer with the catalogue in its order."""
    return PromoList(items=tuple(await catalogue.promos()))


async def list_promo_log(query: ListPromoLog, promo_log: PromoLog) -> PromoLogPage:
    """Answer with the slots of a promo, of a time, of both, or with all, newest first."""
    try:
        before = from_cursor(query.cursor) if query.cursor else None
    except ValueError as error:
        raise Refusal(422, "Invalid cursor", str(error)) from None
    found = await promo_log.newest(
        promo_id=query.promo_id, since=query.since, until=query.until, before=before, limit=query.limit + 1
    )
    items = found[: query.limit]
    cursor = to_cursor(items[-1].slot, items[-1].schedule_id) if len(found) > query.limit else None
    return PromoLogPage(items=tuple(items), cursor=cursor)


def _unknown(query: StartSchedule | StopSchedule) -> Refusal:
    return Refusal(404, "Unknown schedule", f"there is no schedule {query.schedule_id}")


async def audit(query: AuditScheduler, database: Database, streams: Streams) -> Books:
    """Compare the tables with what the streams say up to a cut."""
    return await balance(database, streams, query.cut, books.SOURCES, books.LINES)
