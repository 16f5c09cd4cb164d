"""What clicks answers."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from services.clicks import api
from services.clicks.store import Clicks
from shared import ids
from shared.bus import Refusal
from shared.database import Database
from shared.events import ButtonClicked, ClickSource, Person, PromoPosted
from shared.queries import ClickView, CountClicks, ListClicks, PromoClicks

Press = Callable[..., ButtonClicked]
Post = Callable[..., PromoPosted]
DELIVERY = ids.derived("delivery", 1)


async def test_pages_show_every_press_once_newest_first(clicks: Clicks, press: Press) -> None:
    """Cursors walk through all presses, also where many have the same time; the last page has none."""
    presses = [press(n, n // 4) for n in range(10)]
    await clicks.add_presses(presses)
    seen: list[ClickView] = []
    cursor = None
    while True:
        page = await api.list_clicks(ListClicks(cursor=cursor, limit=3), clicks)
        seen += page.items
        if page.cursor is None:
            break
        cursor = page.cursor
    assert [item.id for item in seen] == [
        each.id for each in sorted(presses, key=lambda each: (each.at, each.id), reverse=True)
    ]


async def test_a_full_last_page_has_no_cursor(clicks: Clicks, press: Press) -> None:
    """The end is known without an empty page."""
    await clicks.add_presses([press(1), press(2)])
    assert (await api.list_clicks(ListClicks(limit=2), clicks)).cursor is None


async def test_presses_are_listed_by_user_and_by_promo(clicks: Clicks, press: Press) -> None:
    """Each condition holds, and both hold together."""
    mine, other = Person(telegram_id=1), Person(telegram_id=2)
    await clicks.add_presses([
        press(1, person=mine), press(2, person=mine, payload="vip"), press(3, person=other, payload="vip"),
    ])  # fmt: skip

    async def found(user_id: UUID | None, promo_id: str | None) -> int:
        return len((await api.list_clicks(ListClicks(user_id=user_id, promo_id=promo_id), clicks)).items)

    user_id = ids.user_of_telegram(1)
    assert (await found(user_id, None), await found(None, "vip"), await found(user_id, "vip")) == (2, 2, 1)


async def test_a_cursor_that_no_page_gave_is_refused(clicks: Clicks) -> None:
    """A senseless cursor is a refusal, not the first page."""
    with pytest.raises(Refusal) as refused:
        await api.list_clicks(ListClicks(cursor="nonsense"), clicks)
    assert refused.value.status == 422


async def test_sums_count_presses_apart_from_deep_links(clicks: Clicks, press: Press, post: Post) -> None:
    """Clicks, users and conversion are of button and redirect presses; deep links follow a press."""
    me = Person(telegram_id=1)
    await clicks.add_posts([
        post("premium_signals", "premium", DELIVERY),
        post("premium_signals", "premium", DELIVERY, 1, attempt=2),
    ])  # fmt: skip
    await clicks.add_presses([
        press(1, 2, person=me, metadata={"conversion": "completed"}),
        press(2, 2, person=me),
        press(3, 2, person=None, source=ClickSource.REDIRECT, metadata={"conversion": "started"}),
        press(4, 2),
        press(5, 2, source=ClickSource.DEEP_LINK, metadata={"conversion": "completed"}),
        press(6, 2, payload="vip"),
    ])  # fmt: skip
    sums = (await api.count_clicks(CountClicks(promo_id="premium_signals"), clicks)).items
    assert sums == (
        PromoClicks(
            promo_id="premium_signals", clicks=4, unique_users=2, conversion_rate=0.25, deep_links=1, posts=1
        ),
    )
    everything = (await api.count_clicks(CountClicks(), clicks)).items
    assert {each.promo_id: each.clicks for each in everything} == {"premium_signals": 4, "vip": 1}


async def test_a_promo_without_presses_converts_at_zero(clicks: Clicks, post: Post) -> None:
    """Nothing divided by nothing is 0; a post without presses is shown all the same."""
    await clicks.add_posts([post("premium_signals", "premium", DELIVERY)])
    nothing = PromoClicks(
        promo_id="premium_signals", clicks=0, unique_users=0, conversion_rate=0, deep_links=0, posts=1
    )
    assert (await api.count_clicks(CountClicks(), clicks)).items == (nothing,)
    unknown = (await api.count_clicks(CountClicks(promo_id="nobody"), clicks)).items
    assert [(each.promo_id, each.clicks, each.posts) for each in unknown] == [("nobody", 0, 0)]


async def test_a_database_error_is_never_zero(clicks: Clicks, database: Database) -> None:
    """When the tables cannot be read the question fails; it is not answered with nothing."""
    await database.execute(text("DROP TABLE marketing_clicks"))
    with pytest.raises(Exception, match="marketing_clicks"):
        await api.count_clicks(CountClicks(), clicks)
    with pytest.raises(Exception, match="marketing_clicks"):
        await api.list_clicks(ListClicks(), clicks)
