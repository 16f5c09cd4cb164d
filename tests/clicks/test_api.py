"""What clicks answers."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from services.clicks import api
from services.clicks.store import Clicks
from shared import ids
from shared.bus import Refusal
from shared.database import Database
from shared.events import ButtonClicked, ClickSource, Person, PromoPosted
from shared.queries import (
    ClickView,
    CountClicks,
    GetClicksSeries,
    ListClicks,
    ListPostClicks,
    PostClicks,
    PromoClicks,
)
from tests.clicks.conftest import SCHEDULE, START

Press = Callable[..., ButtonClicked]
Post = Callable[..., PromoPosted]
DELIVERY = ids.derived("delivery", 1)
HOUR = timedelta(hours=1)


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


async def test_presses_of_all_ids_of_one_person_are_one_list(clicks: Clicks, press: Press) -> None:
    """Other ids of a user are asked for with theirs; without a user they mean nothing."""
    mine, other = Person(telegram_id=1), Person(telegram_id=2)
    await clicks.add_presses([press(1, person=mine), press(2, person=other)])
    first, second = (ids.user_of_telegram(each.telegram_id) for each in (mine, other))
    both = await api.list_clicks(ListClicks(user_id=first, also=(second,)), clicks)
    assert {item.user_id for item in both.items} == {first, second}
    assert len((await api.list_clicks(ListClicks(user_id=first), clicks)).items) == 1
    assert len((await api.list_clicks(ListClicks(also=(second,)), clicks)).items) == 2


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
            promo_id="premium_signals",
            clicks=4,
            unique_users=2,
            completed=1,
            conversion_rate=0.25,
            deep_links=1,
            posts=1,
            ctr=4.0,
        ),
    )
    later = CountClicks(promo_id="premium_signals", since=START + timedelta(minutes=3))
    (none,) = (await api.count_clicks(later, clicks)).items
    assert (none.clicks, none.posts, none.ctr) == (0, 0, 0)
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


async def test_presses_are_listed_by_time(clicks: Clicks, press: Press) -> None:
    """A span begins with its first moment and ends before its last."""
    await clicks.add_presses([press(n, n) for n in range(4)])
    span = ListClicks(since=START + timedelta(minutes=1), until=START + timedelta(minutes=3))
    items = (await api.list_clicks(span, clicks)).items
    assert [item.id for item in items] == [press(2).id, press(1).id]


async def test_every_posted_message_has_its_own_presses(clicks: Clicks, press: Press, post: Post) -> None:
    """A post counts the presses that name its delivery, not forged and deep ones; settled twice is once."""
    deliveries = [ids.derived("delivery", n) for n in range(3)]
    await clicks.add_posts([
        *(post("premium_signals", "premium", each, n) for n, each in enumerate(deliveries)),
        post("premium_signals", "premium", deliveries[0], 9, attempt=2),
    ])  # fmt: skip
    me = Person(telegram_id=1)
    await clicks.add_presses([
        press(1, 5, delivery_id=deliveries[1], person=me), press(2, 5, delivery_id=deliveries[1], person=me),
        press(3, 5, delivery_id=deliveries[1], source=ClickSource.DEEP_LINK),
        press(4, 5, delivery_id=deliveries[1], payload="vip"),
        press(5, 5), press(6, 5, delivery_id=deliveries[0], source=ClickSource.REDIRECT, person=None),
    ])  # fmt: skip
    seen: list[PostClicks] = []
    cursor = None
    while True:
        query = ListPostClicks(promo_id="premium_signals", schedule_id=SCHEDULE, cursor=cursor, limit=2)
        page = await api.list_post_clicks(query, clicks)
        seen += page.items
        if (cursor := page.cursor) is None:
            break
    assert [(each.delivery_id, each.clicks, each.unique_users) for each in seen] == [
        (deliveries[2], 0, 0), (deliveries[1], 2, 1), (deliveries[0], 1, 0),
    ]  # fmt: skip
    assert (seen[2].posted_at, seen[2].message_id) == (START, 77)
    elsewhere = ListPostClicks(schedule_id=ids.derived("schedule", "other"))
    assert (await api.list_post_clicks(elsewhere, clicks)).items == ()
    before = ListPostClicks(until=START + timedelta(minutes=1))
    assert [each.delivery_id for each in (await api.list_post_clicks(before, clicks)).items] == [
        deliveries[0]
    ]


async def test_a_series_has_a_point_for_every_hour(clicks: Clicks, press: Press, post: Post) -> None:
    """Also an hour without presses is a point; what lies at the edge belongs to the hour that it begins."""
    me = Person(telegram_id=1)
    await clicks.add_posts([post("premium_signals", "premium", DELIVERY, 1)])
    await clicks.add_presses([
        press(1, 0, person=me), press(2, 59.99, person=me, metadata={"conversion": "completed"}),
        press(3, 60, source=ClickSource.DEEP_LINK), press(4, 180), press(5, -0.01),
        press(6, 10, payload="vip"),
    ])  # fmt: skip
    query = GetClicksSeries(
        promo_id="premium_signals", since=START + timedelta(minutes=20), until=START + 3 * HOUR, by="hour",
        time_zone="Europe/Madrid",
    )  # fmt: skip
    points = (await api.get_clicks_series(query, clicks)).items
    shown = [(p.clicks, p.unique_users, p.completed, p.deep_links, p.posts) for p in points]
    assert shown == [(2, 1, 1, 0, 1), (0, 0, 0, 1, 0), (0, 0, 0, 0, 0)]
    assert points[0].start.isoformat() == "2026-03-01T13:00:00+01:00"
    everything = query.model_copy(update={"promo_id": None, "by": "day"})
    assert [p.clicks for p in (await api.get_clicks_series(everything, clicks)).items] == [4]


@pytest.mark.parametrize(
    "change",
    [{"time_zone": "Mars/Base"}, {"time_zone": "../x"}, {"until": START}, {"since": START - 3000 * HOUR}],
)
async def test_a_series_that_cannot_be_is_refused(clicks: Clicks, change: dict[str, object]) -> None:
    """An unknown zone, a span that is none and one that nobody reads are refused, with the reason."""
    query = GetClicksSeries(since=START, until=START + HOUR, by="hour").model_copy(update=change)
    with pytest.raises(Refusal) as refused:
        await api.get_clicks_series(query, clicks)
    assert refused.value.status == 422


async def test_a_database_error_is_never_zero(clicks: Clicks, database: Database) -> None:
    """When the tables cannot be read the question fails; it is not answered with nothing."""
    await database.execute(text("DROP TABLE marketing_clicks"))
    with pytest.raises(Exception, match="marketing_clicks"):
        await api.count_clicks(CountClicks(), clicks)
    with pytest.raises(Exception, match="marketing_clicks"):
        await api.list_clicks(ListClicks(), clicks)
    with pytest.raises(Exception, match="marketing_clicks"):
        await api.list_post_clicks(ListPostClicks(), clicks)
    with pytest.raises(Exception, match="marketing_clicks"):
        await api.get_clicks_series(GetClicksSeries(since=START, until=START + HOUR), clicks)
