"""Reads of the API: promos, their log, and the state of the whole."""

import asyncio

from aiohttp import web

from services.gateway.api.answers import Status
from services.gateway.api.asking import Call, answer
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.queries import (
    ListPromoLog,
    ListPromos,
    ListSchedules,
    PromoList,
    PromoLogPage,
)


async def list_promos(call: Call) -> web.Response:
    """Answer with the catalogue in its order."""
    return await call.ask(ListPromos())


async def list_promo_log(call: Call) -> web.Response:
    """Answer with a page of the promo log, newest first."""
    return await call.ask(call.query(ListPromoLog))


async def status(call: Call) -> web.Response:
    """Answer with schedules, promos, and whether this service is ready."""
    schedules, promos, (_, readiness) = await asyncio.gather(
        call.door.bus.ask(ListSchedules()), call.door.bus.ask(ListPromos()), call.door.service.readiness()
    )
    return answer(
        {
            "ready": readiness["status"] == "ready",
            "missing": readiness["missing"],
            "schedules": schedules.model_dump(mode="json")["items"],
            "promos": promos.model_dump(mode="json")["items"],
        }
    )


ROUTES = (
    Route("GET", "/promos", KeyRole.SERVICE, list_promos, {200: PromoList}),
    Route("GET", "/promo-log", KeyRole.SERVICE, list_promo_log, {200: PromoLogPage}, query=ListPromoLog),
    Route("GET", "/status", KeyRole.SERVICE, status, {200: Status}),
)
