"""Schedules over the API: what they do, start, stop."""

from uuid import UUID

from aiohttp import web

from services.gateway.api.asking import Call
from shared.queries import ListSchedules, StartSchedule, StopSchedule

DEFAULT = "default"


async def list_schedules(call: Call) -> web.Response:
    """Answer with the status of every schedule."""
    return await call.ask(ListSchedules())


async def start_schedule(call: Call) -> web.Response:
    """Start a schedule; its first promo is posted at once."""
    return await call.ask(StartSchedule(cause=call.cause(), schedule_id=_schedule(call)))


async def stop_schedule(call: Call) -> web.Response:
    """Stop a schedule, and cancel what is unsent."""
    return await call.ask(StopSchedule(cause=call.cause(), schedule_id=_schedule(call)))


def _schedule(call: Call) -> UUID | None:
    named = call.request.match_info["schedule_id"]
    return None if named == DEFAULT else call.path_id("schedule_id", "schedule")
