"""Reads of the API: the promo log, and the state of the whole."""

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
    PromoLogPage,
)


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
    Route("GET", "/promo-log", KeyRole.SERVICE, list_promo_log, {200: PromoLogPage}, query=ListPromoLog),
    Route("GET", "/status", KeyRole.SERVICE, status, {200: Status}),
)
