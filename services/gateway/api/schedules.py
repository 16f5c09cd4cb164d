"""Schedules over the API: made and changed, started, paused and stopped, and what they would post."""

from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.api.asking import Call, answer
from services.gateway.api.requests import Strict
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.events import Moment, schedule_id_of
from shared.queries import (
    CreateSchedule,
    DeleteSchedule,
    EditSchedule,
    GetSchedule,
    ListSchedules,
    PauseSchedule,
    Plan,
    PlanSlots,
    Removed,
    ScheduleChanged,
    ScheduleIn,
    ScheduleList,
    ScheduleName,
    ScheduleView,
    StartSchedule,
    StopSchedule,
)

DEFAULT = "default"


class ScheduleChange(ScheduleIn):
    """What is to change of a schedule; what is left out, or null, stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NewSchedule(ScheduleChange):
    """A schedule that is to be made."""

    name: ScheduleName


class Pause(Strict):
    """How long nothing is to be posted."""

    until: Moment


class Ahead(BaseModel):
    """How far to look ahead."""

    until: Moment | None = None
    limit: int = Field(default=20, ge=1, le=500)


async def list_schedules(call: Call) -> web.Response:
    """Answer with the status of every schedule."""
    return await call.ask(ListSchedules())


async def get_schedule(call: Call) -> web.Response:
    """Answer with the status of a schedule, by its id or its name."""
    return await call.ask(GetSchedule(schedule_id=_schedule(call)))


async def create_schedule(call: Call) -> web.Response:
    """Make a schedule, stopped: it posts nothing until it is started.

    It has an interval, or a cron expression of five fields in its `time_zone`. Chats are ids, or @names,
    which are resolved now and kept by id.
    """
    given = await call.read(NewSchedule)
    command = CreateSchedule(cause=call.cause(), schedule_name=given.name, schedule=_plain(given))
    return answer(await call.door.bus.ask(command), 201)


async def edit_schedule(call: Call) -> web.Response:
    """Change a schedule; the default one no longer follows its settings then."""
    given = _plain(await call.read(ScheduleChange))
    return await call.ask(EditSchedule(cause=call.cause(), schedule_id=_schedule(call), schedule=given))


async def delete_schedule(call: Call) -> web.Response:
    """Remove a schedule and cancel what is unsent; the default one can only be stopped."""
    schedule_id = _schedule(call) or schedule_id_of(DEFAULT)
    return await call.ask(DeleteSchedule(cause=call.cause(), schedule_id=schedule_id))


async def start_schedule(call: Call) -> web.Response:
    """Start a schedule; the first promo of an interval is posted at once."""
    return await call.ask(StartSchedule(cause=call.cause(), schedule_id=_schedule(call)))


async def stop_schedule(call: Call) -> web.Response:
    """Stop a schedule, and cancel what is unsent."""
    return await call.ask(StopSchedule(cause=call.cause(), schedule_id=_schedule(call)))


async def pause_schedule(call: Call) -> web.Response:
    """Post nothing before a time, and cancel what is unsent; refused while the schedule is stopped."""
    until = (await call.read(Pause)).until
    return await call.ask(PauseSchedule(cause=call.cause(), schedule_id=_schedule(call), until=until))


async def resume_schedule(call: Call) -> web.Response:
    """End a pause: the schedule goes on with its next slot."""
    return await call.ask(PauseSchedule(cause=call.cause(), schedule_id=_schedule(call)))


async def plan_all(call: Call) -> web.Response:
    """Say what the active schedules would post next, as things are now; nothing is decided by it."""
    ahead = call.query(Ahead)
    return await call.ask(PlanSlots(until=ahead.until, limit=ahead.limit))


async def plan_schedule(call: Call) -> web.Response:
    """Say what a schedule would post next; one that is stopped is taken as if it were started now."""
    ahead = call.query(Ahead)
    schedule_id = _schedule(call) or schedule_id_of(DEFAULT)
    return await call.ask(PlanSlots(schedule_id=schedule_id, until=ahead.until, limit=ahead.limit))


def _schedule(call: Call) -> UUID | None:
    named: UUID | str = call.named["schedule_id"]
    if isinstance(named, UUID):
        return named
    return None if named == DEFAULT else schedule_id_of(named)


def _plain(given: ScheduleIn) -> ScheduleIn:
    return ScheduleIn.model_validate(given.model_dump(exclude={"name"}))


ROUTES = (
    Route("GET", "/plan", KeyRole.SERVICE, plan_all, {200: Plan}, query=Ahead),
    Route("GET", "/schedules", KeyRole.SERVICE, list_schedules, {200: ScheduleList}),
    Route(
        "POST", "/schedules", KeyRole.ADMIN, create_schedule, {201: ScheduleView}, (404, 409),
        body=NewSchedule,
    ),
    Route("GET", "/schedules/{schedule_id}", KeyRole.SERVICE, get_schedule, {200: ScheduleView}),
    Route(
        "PATCH", "/schedules/{schedule_id}", KeyRole.ADMIN, edit_schedule, {200: ScheduleView},
        body=ScheduleChange,
    ),
    Route("DELETE", "/schedules/{schedule_id}", KeyRole.ADMIN, delete_schedule, {200: Removed}, (409,)),
    Route("GET", "/schedules/{schedule_id}/plan", KeyRole.SERVICE, plan_schedule, {200: Plan}, query=Ahead),
    Route("POST", "/schedules/{schedule_id}/start", KeyRole.ADMIN, start_schedule, {200: ScheduleChanged}),
    Route("POST", "/schedules/{schedule_id}/stop", KeyRole.ADMIN, stop_schedule, {200: ScheduleChanged}),
    Route(
        "POST", "/schedules/{schedule_id}/pause", KeyRole.ADMIN, pause_schedule, {200: ScheduleChanged},
        (409,), body=Pause,
    ),
    Route(
        "POST", "/schedules/{schedule_id}/resume", KeyRole.ADMIN, resume_schedule, {200: ScheduleChanged},
        (409,),
    ),
)  # fmt: skip
