"""Promos and schedules over the API: what is passed on, and what promos brought."""

import csv
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest

from services.gateway.domain.chart import draw
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import Refusal
from shared.events import State, schedule_id_of
from shared.queries import (
    ClicksPoint,
    ClicksSeries,
    CountClicks,
    CountPosts,
    CreatePromo,
    CreateSchedule,
    DeletePromo,
    DeleteSchedule,
    EditPromo,
    GetClicksSeries,
    GetPromo,
    GetSchedule,
    ListPostClicks,
    ListPromoLog,
    PauseSchedule,
    Plan,
    PlanSlots,
    PostClicks,
    PostClicksPage,
    PromoClicks,
    PromoClicksList,
    PromoLogChat,
    PromoLogEntry,
    PromoLogPage,
    PromoPosts,
    PromoPostsList,
    PromoView,
    Removed,
    ScheduleChanged,
    ScheduleView,
)

SLOT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEDULE = schedule_id_of("default")
PROMO = PromoView(
    id="webinar", title="A & B <webinar>", cta_text="Go", payload="webinar", enabled=True, position=1
)
VIEW = ScheduleView(
    id=SCHEDULE, active=True, bot="default", interval_seconds=3600, time_zone="Europe/Madrid", chat_ids=(1,),
    promo_ids=("webinar",), name="default",
)  # fmt: skip
POSTS = PromoPosts(
    promo_id="webinar", slots=2, intended=5, posted=4, failed=1, suppressed=0, ambiguous=0, pending=0, reach=2
)
CLICKS = PromoClicks(
    promo_id="webinar", clicks=3, unique_users=2, conversion_rate=1 / 3, completed=1, deep_links=7, posts=4
)
TYPED = CLICKS.model_copy(update={"promo_id": "=what_somebody_typed"})


async def call(gateway: Any, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """Call the API as an admin."""
    found: tuple[int, Any] = await gateway.call(method, path, role=KeyRole.ADMIN, **more)
    return found


async def test_promos_are_made_and_changed(gateway: Any) -> None:
    """What is left out stays; an unknown field is refused; a repeat is one command."""
    await gateway.peers.answer(CreatePromo, lambda _: PROMO)
    await gateway.peers.answer(EditPromo, lambda _: PROMO)
    await gateway.peers.answer(DeletePromo, lambda asked: Removed(id=asked.promo_id))
    body = {"id": "webinar", "title": "A", "cta_text": "Go", "payload": "webinar"}
    for _ in range(2):
        status, made = await call(
            gateway, "POST", "/promos", json=body, headers={"Idempotency-Key": "webinar-1"}
        )
        assert (status, made["id"]) == (201, "webinar")
    first, second = gateway.peers.of(CreatePromo)
    assert (first.cause, first.promo_id, first.promo.title) == (second.cause, "webinar", "A")
    assert (await call(gateway, "PATCH", "/promos/webinar", json={"title": "B"}))[0] == 200
    assert (await call(gateway, "POST", "/promos/webinar/disable"))[0] == 200
    edited, disabled = gateway.peers.of(EditPromo)
    assert edited.promo.model_dump(exclude_none=True) == {"title": "B"}
    assert disabled.promo.model_dump(exclude_none=True) == {"enabled": False}
    assert await call(gateway, "DELETE", "/promos/webinar") == (200, {"id": "webinar"})
    status, problem = await call(gateway, "PATCH", "/promos/webinar", json={"colour": "red"})
    assert (status, problem["errors"][0]["field"]) == (422, "colour")
    assert (await call(gateway, "GET", "/promos/Not-A-Promo"))[0] == 404


async def test_schedules_are_named_or_by_id(gateway: Any) -> None:
    """A schedule is found by its name or its id; pauses, plans and removals are passed on."""
    await gateway.peers.answer(CreateSchedule, lambda _: VIEW)
    await gateway.peers.answer(GetSchedule, lambda _: VIEW)
    await gateway.peers.answer(PauseSchedule, lambda _: ScheduleChanged(changed=True, schedule=VIEW))
    await gateway.peers.answer(PlanSlots, lambda _: Plan(items=()))
    await gateway.peers.answer(DeleteSchedule, lambda asked: Removed(id=str(asked.schedule_id)))
    body = {"name": "evening", "cron": "0 20 * * *", "chats": ["@news", -100123]}
    assert (await call(gateway, "POST", "/schedules", json=body))[0] == 201
    (made,) = gateway.peers.of(CreateSchedule)
    assert (made.schedule_name, made.schedule.chats) == ("evening", ("@news", -100123))
    evening = schedule_id_of("evening")
    for named in ("evening", str(evening), "default"):
        assert (await call(gateway, "GET", f"/schedules/{named}"))[0] == 200
    assert [each.schedule_id for each in gateway.peers.of(GetSchedule)] == [evening, evening, None]
    pause = {"until": "2026-12-24T00:00:00Z"}
    assert (await call(gateway, "POST", "/schedules/evening/pause", json=pause))[0] == 200
    assert (await call(gateway, "POST", "/schedules/evening/resume"))[0] == 200
    assert [each.until is None for each in gateway.peers.of(PauseSchedule)] == [False, True]
    assert (await call(gateway, "GET", "/schedules/default/plan?limit=3"))[0] == 200
    assert (await call(gateway, "GET", "/plan"))[0] == 200
    assert [(each.schedule_id, each.limit) for each in gateway.peers.of(PlanSlots)] == [
        (SCHEDULE, 3),
        (None, 20),
    ]
    assert (await call(gateway, "DELETE", "/schedules/evening"))[0] == 200
    assert (await call(gateway, "GET", "/schedules/No%20Such"))[0] == 404


async def answer_statistics(gateway: Any) -> None:
    """Have scheduler and clicks answer what the statistics ask."""
    chats = (
        PromoLogChat(chat_id=1, state=State.SENT, provider_message_id="77"),
        PromoLogChat(chat_id=2, state=State.FAILED, reason="blocked"),
    )
    entry = PromoLogEntry(
        schedule_id=SCHEDULE, slot=SLOT, promo_id="webinar", intended=2, posted=1, failed=1, suppressed=0,
        ambiguous=0, pending=0, chats=chats, created_at=SLOT,
    )  # fmt: skip
    skipped = entry.model_copy(
        update={"slot": SLOT - timedelta(hours=1), "promo_id": None, "chats": (), "skipped": "missed"}
    )
    press = PostClicks(
        delivery_id=ids.derived("x"), promo_id="webinar", schedule_id=SCHEDULE, slot=SLOT, bot="default",
        chat_id=1, message_id=77, posted_at=SLOT, clicks=3, unique_users=2,
    )  # fmt: skip
    pages = {
        None: PromoLogPage(items=(entry,), cursor="more"),
        "more": PromoLogPage(items=(skipped,)),
    }
    await gateway.peers.answer(CountPosts, lambda _: PromoPostsList(items=(POSTS,), skipped={"missed": 1}))
    await gateway.peers.answer(CountClicks, lambda _: PromoClicksList(items=(CLICKS, TYPED)))
    await gateway.peers.answer(ListPostClicks, lambda _: PostClicksPage(items=(press,)))
    await gateway.peers.answer(ListPromoLog, lambda asked: pages[asked.cursor])


async def text_of(gateway: Any, path: str) -> tuple[str, str]:
    """Return content type and text of an answer."""
    headers = {"Authorization": f"Bearer {gateway.keys[KeyRole.SERVICE]}"}
    async with gateway.http.get(f"{gateway.url}/api/v1{path}", headers=headers) as response:
        assert response.status == 200, await response.text()
        return response.content_type, await response.text()


async def test_sums_are_joined(gateway: Any) -> None:
    """Posts and presses of a promo stand side by side, also by time; what somebody typed is no promo."""
    await answer_statistics(gateway)
    status, found = await call(gateway, "GET", "/promo-stats?promo_id=webinar&since=2026-03-01T00:00:00Z")
    assert (status, found["skipped"]) == (200, {"missed": 1})
    (stats,) = found["items"]
    assert {name: stats[name] for name in ("posted", "reach", "clicks", "unique_users", "deep_links")} == {
        "posted": 4, "reach": 2, "clicks": 3, "unique_users": 2, "deep_links": 7,
    }  # fmt: skip
    assert (stats["ctr"], stats["conversion_rate"]) == (0.75, pytest.approx(1 / 3))
    for asked in (*gateway.peers.of(CountPosts), *gateway.peers.of(CountClicks)):
        assert (asked.promo_id, asked.since, asked.until) == ("webinar", SLOT.replace(hour=0), None)


async def test_clicks_away_are_not_zero(gateway: Any) -> None:
    """A service that does not answer is an error, never a sum without it."""
    await gateway.peers.answer(CountPosts, lambda _: PromoPostsList(items=(POSTS,)))
    assert (await call(gateway, "GET", "/promo-stats"))[0] == 503
    assert (await call(gateway, "GET", "/promo-log.csv"))[0] == 503


async def test_files_for_a_spreadsheet(gateway: Any) -> None:
    """The log has a row for each slot and chat with its presses, over all pages, under one header."""
    await answer_statistics(gateway)
    kind, text = await text_of(gateway, "/promo-log.csv")
    rows = list(csv.DictReader(text.splitlines()))
    assert kind == "text/csv"
    assert [(row["chat_id"], row["state"], row["reason"], row["clicks"]) for row in rows] == [
        ("1", "sent", "", "3"), ("2", "failed", "blocked", "0"), ("", "skipped", "missed", "0"),
    ]  # fmt: skip
    _, text = await text_of(gateway, "/promo-stats.csv")
    (row,) = csv.DictReader(text.splitlines())
    assert (row["promo_id"], row["posted"], row["clicks"]) == ("webinar", "4", "3")


async def test_a_chart_is_drawn(gateway: Any) -> None:
    """The default schedule's zone holds unless told otherwise; nonsense and the unknown are refused."""

    def promo(asked: GetPromo) -> PromoView:
        if asked.promo_id != "webinar":
            raise Refusal(404, "Unknown promo", "there is no such promo")
        return PROMO

    await gateway.peers.answer(GetPromo, promo)
    await gateway.peers.answer(GetSchedule, lambda _: VIEW)
    await gateway.peers.answer(GetClicksSeries, lambda _: ClicksSeries(items=()))
    kind, text = await text_of(gateway, "/promos/webinar/chart.svg?by=hour")
    assert (kind, "A &amp; B &lt;webinar&gt;" in text) == ("image/svg+xml", True)
    (asked,) = gateway.peers.of(GetClicksSeries)
    assert (asked.by, asked.time_zone, asked.until - asked.since) == (
        "hour", "Europe/Madrid", timedelta(hours=48),
    )  # fmt: skip
    assert (await call(gateway, "GET", "/promos/other/chart.svg"))[0] == 404
    assert (await call(gateway, "GET", "/promos/webinar/chart.svg?since=2000-01-01T00:00:00Z"))[0] == 422


def test_a_chart_is_to_scale() -> None:
    """A bar is as high as its number on the axis, nothing has no bar, and times are those of the zone."""
    counts = [0, 7, 20]
    points = [
        ClicksPoint(
            start=SLOT + timedelta(days=n), clicks=count, unique_users=0, completed=0, deep_links=0, posts=0
        )
        for n, count in enumerate(counts)
    ]  # fmt: skip
    root = ET.fromstring(draw("Title", points, by="day", time_zone="UTC"))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    heights = [
        float(bar.get("height", 0)) for bar in root.iter(f"{space}rect") if bar.get("fill") == "#93c5fd"
    ]
    assert heights[-1] / heights[-2] == pytest.approx(20 / 7, rel=0.01)
    assert len(heights) == 3  # the legend's, and two bars
    texts = [each.text for each in root.iter(f"{space}text")]
    assert {
        "Title",
        "0",
        "20",
        "01 Mar",
        "03 Mar",
        "01 Mar 2026 to 03 Mar 2026, by day, times in UTC",
    } <= set(texts)


def test_an_id_is_not_a_name() -> None:
    """No name of a schedule can be taken for an id."""
    assert UUID(str(schedule_id_of("evening"))) == schedule_id_of("evening")
    assert len("a" * 31) < len(schedule_id_of("evening").hex)
