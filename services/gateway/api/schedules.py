"""Schedules over the API: what they do, start, stop."""

from uuid import UUID

from aiohttp import web

from services.gateway.api.asking import Call
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.queries import ListSchedules, ScheduleChanged, ScheduleList, StartSchedule, StopSchedule


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
    named: UUID | str = call.named["schedule_id"]
    return None if isinstance(named, str) else named


ROUTES = (
    Route("GET", "/schedules", KeyRole.SERVICE, list_schedules, {200: ScheduleList}),
    Route("POST", "/schedules/{schedule_id}/start", KeyRole.ADMIN, start_schedule, {200: ScheduleChanged}),
    Route("POST", "/schedules/{schedule_id}/stop", KeyRole.ADMIN, stop_schedule, {200: ScheduleChanged}),
)
