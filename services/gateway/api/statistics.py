"""What promos brought, over the API: sums, files for a spreadsheet, and a chart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from services.gateway.api.asking import Call, answer
from services.gateway.api.problems import invalid
from services.gateway.api.route import Media, Route
from services.gateway.domain import chart
from services.gateway.domain.roles import KeyRole
from services.gateway.domain.statistics import (
    Place,
    PromoStatsList,
    joined,
    log_csv,
    place_of,
    stats_csv,
)
from shared.bus import Bus
from shared.events import Moment
from shared.queries import (
    CountClicks,
    CountPosts,
    GetClicksSeries,
    GetPromo,
    GetSchedule,
    ListPostClicks,
    ListPromoLog,
    PostClicks,
)

PAGE = 500
MOST_PAGES = 200
"""Of the log in one file; who wants more asks for a span of time."""
SPANS = {"hour": timedelta(days=2), "day": timedelta(days=30)}
MOST_POINTS = 400
"""More bars than that nobody can tell apart."""


class Which(BaseModel):
    """Which promo, and which slots: from `since` on and before `until`."""

    promo_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None


class Charted(BaseModel):
    """What a chart shows: else the last 30 days or 48 hours, in the default schedule's time zone."""

    since: Moment | None = None
    until: Moment | None = None
    by: Literal["hour", "day"] = "day"
    time_zone: str | None = None


async def promo_stats(call: Call) -> web.Response:
    """Answer with what became of promos, and with what they brought."""
    return answer(await stats(call.door.bus, call.query(Which)))


async def promo_stats_csv(call: Call) -> web.Response:
    """Answer with the same as CSV, a row for each promo."""
    found = await stats(call.door.bus, call.query(Which))
    return _file(stats_csv(found.items), "promo-stats.csv")


async def promo_log_csv(call: Call) -> web.StreamResponse:
    """Answer with the promo log as CSV, newest first: a row for each slot and chat, with its presses."""
    parts = log_parts(call.door.bus, call.query(Which))
    # Asked before anything is answered: a service that is away is a problem, not half a file.
    first = await anext(parts)
    response = web.StreamResponse(headers=_headers("promo-log.csv"))
    await response.prepare(call.request)
    await response.write(first.encode())
    async for part in parts:
        await response.write(part.encode())
    await response.write_eof()
    return response


async def promo_chart(call: Call) -> web.Response:
    """Answer with a chart of a promo's presses and posts, by the hours or days of a time zone."""
    drawn = await draw(call.door.bus, call.named["promo_id"], call.query(Charted), call.door.now())
    return web.Response(text=drawn, content_type="image/svg+xml")


async def stats(bus: Bus, which: Which) -> PromoStatsList:
    """Ask scheduler and clicks, and join what they answer."""
    span = which.model_dump()
    posts, clicks = await asyncio.gather(bus.ask(CountPosts(**span)), bus.ask(CountClicks(**span)))
    return PromoStatsList(items=tuple(joined(posts.items, clicks.items)), skipped=posts.skipped)


async def log_parts(bus: Bus, which: Which) -> AsyncIterator[str]:
    """Yield the promo log as CSV, part by part, the header first."""
    pressed = await _clicks_by_place(bus, which)
    cursor: str | None = None
    for page in range(MOST_PAGES):
        found = await bus.ask(ListPromoLog(**which.model_dump(), cursor=cursor, limit=PAGE))
        yield log_csv(found.items, pressed, header=page == 0)
        cursor = found.cursor
        if cursor is None:
            return


async def draw(bus: Bus, promo_id: str, charted: Charted, now: datetime) -> str:
    """Return the chart of a promo as SVG; raises the refusal of a promo that nobody knows."""
    promo, schedule = await asyncio.gather(bus.ask(GetPromo(promo_id=promo_id)), _default_zone(bus))
    until = charted.until or now
    since = charted.since or until - SPANS[charted.by]
    zone = charted.time_zone or schedule
    step = timedelta(hours=1) if charted.by == "hour" else timedelta(days=1)
    if not timedelta(0) < until - since <= MOST_POINTS * step:
        raise invalid([{"field": "since", "message": f"expected at most {MOST_POINTS} points before until"}])
    series = await bus.ask(
        GetClicksSeries(promo_id=promo_id, since=since, until=until, by=charted.by, time_zone=zone)
    )
    return chart.draw(promo.title, series.items, by=charted.by, time_zone=zone)


async def _default_zone(bus: Bus) -> str:
    return (await bus.ask(GetSchedule())).time_zone


async def _clicks_by_place(bus: Bus, which: Which) -> dict[Place, PostClicks]:
    """Return the presses of every post that the log may show: a post comes with its slot, or later."""
    found: dict[Place, PostClicks] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await bus.ask(
            ListPostClicks(promo_id=which.promo_id, since=which.since, cursor=cursor, limit=PAGE)
        )
        found |= {place_of(each): each for each in page.items}
        cursor = page.cursor
        if cursor is None:
            break
    return found


def _file(text: str, name: str) -> web.Response:
    return web.Response(body=text.encode(), headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    return {
        "Content-Type": "text/csv; charset=utf-8; header=present",
        "Content-Disposition": f'attachment; filename="{name}"',
    }


CSV = Media("text/csv")

ROUTES = (
    Route("GET", "/promo-stats", KeyRole.SERVICE, promo_stats, {200: PromoStatsList}, query=Which),
    Route("GET", "/promo-stats.csv", KeyRole.SERVICE, promo_stats_csv, {200: CSV}, query=Which),
    Route("GET", "/promo-log.csv", KeyRole.SERVICE, promo_log_csv, {200: CSV}, query=Which),
    Route(
        "GET", "/promos/{promo_id}/chart.svg", KeyRole.SERVICE, promo_chart, {200: Media("image/svg+xml")},
        query=Charted,
    ),
)  # fmt: skip
