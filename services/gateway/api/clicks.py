"""Presses over the API: lists, sums, a series for plots, and what became known of one later."""

from aiohttp import web

from services.gateway.api.asking import Call
from services.gateway.api.requests import ClickIn
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.queries import (
    AnnotateClick,
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


async def list_clicks(call: Call) -> web.Response:
    """Answer with a page of presses, newest first."""
    return await call.ask(call.query(ListClicks))


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


ROUTES = (
    Route("GET", "/clicks", KeyRole.SERVICE, list_clicks, {200: ClickPage}, query=ListClicks),
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
