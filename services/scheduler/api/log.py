"""What scheduler answers about the promo log."""

from services.scheduler.store import PromoLog
from shared.bus import Refusal
from shared.cursors import from_cursor, to_cursor
from shared.queries import CountPosts, ListPromoLog, PromoLogPage, PromoPostsList


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


async def count_posts(query: CountPosts, promo_log: PromoLog) -> PromoPostsList:
    """Answer with the sums of a promo, or of all that were due."""
    return await promo_log.sums(query.promo_id, query.since, query.until)
