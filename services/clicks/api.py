"""What clicks answers."""

from services.clicks.store import Clicks
from shared.bus import Refusal
from shared.cursors import from_cursor, to_cursor
from shared.queries import ClickPage, CountClicks, ListClicks, PromoClicksList


async def list_clicks(query: ListClicks, clicks: Clicks) -> ClickPage:
    """Answer with the presses of a user, of a promo, of both, or of all, newest first."""
    try:
        before = from_cursor(query.cursor) if query.cursor else None
    except ValueError as error:
        raise Refusal(422, "Invalid cursor", str(error)) from None
    found = await clicks.newest(
        user_id=query.user_id, promo_id=query.promo_id, before=before, limit=query.limit + 1
    )
    items = found[: query.limit]
    more = len(found) > query.limit
    return ClickPage(
        items=tuple(items), cursor=to_cursor(items[-1].clicked_at, items[-1].id) if more else None
    )


async def count_clicks(query: CountClicks, clicks: Clicks) -> PromoClicksList:
    """Answer with the sums of a promo, or of all that were posted or pressed."""
    return PromoClicksList(items=tuple(await clicks.sums(query.promo_id)))
