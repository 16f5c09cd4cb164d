"""Reads of the API: promos, their log, clicks, and the state of the whole."""

import asyncio

from aiohttp import web

from services.gateway.api.asking import Call, answer
from shared.queries import CountClicks, ListClicks, ListPromoLog, ListPromos, ListSchedules


async def list_promos(call: Call) -> web.Response:
    """Answer with the catalogue in its order."""
    return await call.ask(ListPromos())


async def list_promo_log(call: Call) -> web.Response:
    """Answer with a page of the promo log, newest first."""
    return await call.ask(call.query(ListPromoLog))


async def list_clicks(call: Call) -> web.Response:
    """Answer with a page of presses, newest first."""
    return await call.ask(call.query(ListClicks))


async def count_clicks(call: Call) -> web.Response:
    """Answer with the sums of one promo, or of all."""
    return await call.ask(call.query(CountClicks))


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
