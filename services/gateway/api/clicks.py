"""Presses over the API: lists, sums, a series for plots, and what became known of one later."""

from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from services.gateway.api.asking import Call
from services.gateway.api.requests import ClickIn
from services.gateway.api.route import Route
from services.gateway.domain.people import other_ids
from services.gateway.domain.roles import KeyRole
from shared.bus import Refusal
from shared.events import Moment
from shared.queries import (
    AnnotateClick,
    ClickPage,
    ClicksSeries,
    ClickView,
    CountClicks,
    GetClicksSeries,
    GetRecipient,
    ListClicks,
    ListPostClicks,
    PostClicksPage,
    PromoClicksList,
)


class ClicksAsked(BaseModel):
    """Which presses are asked for: of a user or of a promo, from `since` on and before `until`."""

    user_id: UUID | None = None
    promo_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


async def list_clicks(call: Call) -> web.Response:
    """Answer with a page of presses, newest first.

    Of a user who is linked with a Telegram user, by either id, those of both.
    """
    asked = call.query(ClicksAsked)
    also = await _other_ids(call, asked.user_id) if asked.user_id is not None else ()
    return await call.ask(ListClicks(**asked.model_dump(), also=also))


async def count_clicks(call: Call) -> web.Response:
    """Answer with the sums of one promo, or of all."""
    return await call.ask(call.query(CountClicks))


async def list_post_clicks(call: Call) -> web.Response:
    """Answer with a page of posted messages and their presses, newest first."""
    return await call.ask(call.query(ListPostClicks))


async def get_clicks_series(call: Call) -> web.Response:
    """Answer with presses by the hours or days of a time zone."""
    return await call.ask(call.query(GetClicksSeries))


async def annotate_click(call: Call) -> web.Response:
    """Merge metadata into a press's, and answer with the press."""
    click_id = call.path_id("click_id")
    given = await call.read(ClickIn)
    return await call.ask(AnnotateClick(cause=call.cause(), click_id=click_id, metadata=given.metadata))


async def _other_ids(call: Call, user_id: UUID) -> tuple[UUID, ...]:
    try:
        known = await call.door.bus.ask(GetRecipient(user_id=user_id))
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        return ()
    return other_ids(known, user_id)


ROUTES = (
    Route("GET", "/clicks", KeyRole.SERVICE, list_clicks, {200: ClickPage}, query=ClicksAsked),
    Route("GET", "/clicks/stats", KeyRole.SERVICE, count_clicks, {200: PromoClicksList}, query=CountClicks),
    Route(
        "GET", "/clicks/posts", KeyRole.SERVICE, list_post_clicks, {200: PostClicksPage}, query=ListPostClicks
    ),
    Route(
        "GET",
        "/clicks/series",
        KeyRole.SERVICE,
        get_clicks_series,
        {200: ClicksSeries},
        query=GetClicksSeries,
    ),
    Route("PATCH", "/clicks/{click_id}", KeyRole.SERVICE, annotate_click, {200: ClickView}, body=ClickIn),
)
