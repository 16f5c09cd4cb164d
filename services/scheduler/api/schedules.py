"""What scheduler answers about schedules."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.scheduler.domain.schedule import DEFAULT_SCHEDULE, Wanted
from services.scheduler.domain.timing import BadTiming, Every, Timing, check_zone, checked_cron
from services.scheduler.store import (
    NotActive,
    ScheduleExists,
    Schedules,
    UnknownPromos,
    UnknownSchedule,
)
from shared.bus import Refusal
from shared.queries import (
    CreateSchedule,
    DeleteSchedule,
    EditSchedule,
    GetSchedule,
    PauseSchedule,
    Removed,
    ScheduleChanged,
    ScheduleIn,
    ScheduleList,
    ScheduleView,
    StartSchedule,
    StopSchedule,
)

Resolve = Callable[[str, str], Awaitable[int]]
"""Finds the chat of an @name, as a bot sees it."""
Wake = Callable[[], None]

PLAIN = Wanted("default", Every(timedelta(hours=4)), timedelta(hours=1), ())
"""What a new schedule is where nothing else is said."""
BIGGEST_CHAT_ID = 2**63 - 1


async def start_schedule(
    query: StartSchedule, schedules: Schedules, now: datetime, wake: Wake
) -> ScheduleChanged:
    """Activate a schedule and have the first promo of its interval posted at once."""
    started = schedules.start(query.schedule_id or DEFAULT_SCHEDULE, query.cause, now, query.asked_at)
    return await _changed(started, query.schedule_id, wake)


async def stop_schedule(
    query: StopSchedule, schedules: Schedules, now: datetime, wake: Wake
) -> ScheduleChanged:
    """Stop a schedule and have what is unsent cancelled at once."""
    stopped = schedules.stop(query.schedule_id or DEFAULT_SCHEDULE, query.cause, now, query.asked_at)
    return await _changed(stopped, query.schedule_id, wake)


async def pause_schedule(
    query: PauseSchedule, schedules: Schedules, now: datetime, wake: Wake
) -> ScheduleChanged:
    """Have nothing posted until a time, or end a pause."""
    if query.until is not None and query.until <= now:
        raise _invalid("until", "is in the past")
    paused = schedules.pause(query.schedule_id or DEFAULT_SCHEDULE, query.until, query.cause, now)
    return await _changed(paused, query.schedule_id, wake)


async def _changed(
    change: Awaitable[ScheduleChanged], schedule_id: UUID | None, wake: Wake
) -> ScheduleChanged:
    """Wait for a change, and let the clock look at once."""
    try:
        answer = await change
    except UnknownSchedule:
        raise _unknown(schedule_id) from None
    except NotActive:
        raise Refusal(409, "Not running", "the schedule is stopped; only one that runs is paused") from None
    wake()
    return answer


async def create_schedule(
    query: CreateSchedule, schedules: Schedules, resolve: Resolve, now: datetime
) -> ScheduleView:
    """Add a schedule, stopped."""
    given = query.schedule
    chat_ids = await _chats(given, PLAIN.bot, resolve)
    wanted = rewritten(PLAIN, given, chat_ids, now)
    try:
        return await schedules.create(query.schedule_name, wanted, query.cause, now)
    except ScheduleExists:
        detail = f"there is a schedule {query.schedule_name}"
        raise Refusal(409, "Taken already", detail) from None
    except UnknownPromos as unknown:
        raise _invalid("promo_ids", f"unknown: {unknown}") from None


async def edit_schedule(
    query: EditSchedule, schedules: Schedules, resolve: Resolve, now: datetime, wake: Wake
) -> ScheduleView:
    """Change a schedule; settings no longer touch it, if it is the default one."""
    given, schedule_id = query.schedule, query.schedule_id or DEFAULT_SCHEDULE
    try:
        bot = (await schedules.view(schedule_id)).bot
        chat_ids = await _chats(given, bot, resolve)
        answer = await schedules.edit(
            schedule_id, lambda before: rewritten(before, given, chat_ids, now), query.cause, now
        )
    except UnknownSchedule:
        raise _unknown(query.schedule_id) from None
    except UnknownPromos as unknown:
        raise _invalid("promo_ids", f"unknown: {unknown}") from None
    wake()
    return answer.schedule


async def delete_schedule(query: DeleteSchedule, schedules: Schedules, now: datetime, wake: Wake) -> Removed:
    """Remove a schedule and have what is unsent cancelled."""
    if query.schedule_id == DEFAULT_SCHEDULE:
        raise Refusal(409, "Default schedule", "every installation has it; it can be stopped")
    try:
        await schedules.delete(query.schedule_id, query.cause, now)
    except UnknownSchedule:
        raise _unknown(query.schedule_id) from None
    wake()
    return Removed(id=str(query.schedule_id))


async def get_schedule(query: GetSchedule, schedules: Schedules) -> ScheduleView:
    """Answer with the status of a schedule."""
    try:
        return await schedules.view(query.schedule_id or DEFAULT_SCHEDULE)
    except UnknownSchedule:
        raise _unknown(query.schedule_id) from None


async def list_schedules(schedules: Schedules) -> ScheduleList:
    """Answer with the status of every schedule."""
    return ScheduleList(items=tuple(await schedules.views()))


def rewritten(before: Wanted, given: ScheduleIn, chat_ids: tuple[int, ...] | None, now: datetime) -> Wanted:
    """Return what is wanted with what is given instead of what there was; raises the refusal of nonsense."""
    zone = before.zone if given.time_zone is None else given.time_zone
    try:
        check_zone(zone)
    except BadTiming as problem:
        raise _invalid("time_zone", str(problem)) from None
    promo_ids = before.promo_ids
    if given.promo_ids is not None:
        if given.all_promos:
            raise _invalid("all_promos", "expected one of promo_ids and all_promos")
        promo_ids = tuple(dict.fromkeys(given.promo_ids))
    elif given.all_promos:
        promo_ids = None
    return replace(
        before,
        bot=before.bot if given.bot is None else given.bot,
        timing=_timing(before.timing, given, zone, now),
        validity=before.validity
        if given.validity_seconds is None
        else timedelta(seconds=given.validity_seconds),
        chat_ids=before.chat_ids if chat_ids is None else chat_ids,
        promo_ids=promo_ids,
        zone=zone,
    )


def _timing(before: Timing, given: ScheduleIn, zone: str, now: datetime) -> Timing:
    if given.cron is not None and given.interval_seconds is not None:
        raise _invalid("cron", "expected one of cron and interval_seconds")
    if given.interval_seconds is not None:
        return Every(timedelta(seconds=given.interval_seconds))
    if given.cron is None and isinstance(before, Every):
        return before
    expression = given.cron if given.cron is not None else before.expression  # type: ignore[union-attr]  # a Cron
    try:
        return checked_cron(expression, zone, now)
    except BadTiming as problem:
        raise _invalid("cron", str(problem)) from None


async def _chats(given: ScheduleIn, bot: str, resolve: Resolve) -> tuple[int, ...] | None:
    if given.chats is None:
        return None
    found = await asyncio.gather(*(_chat(chat, given.bot or bot, resolve) for chat in given.chats))
    return tuple(dict.fromkeys(found))


async def _chat(chat: int | str, bot: str, resolve: Resolve) -> int:
    if isinstance(chat, str) and chat.startswith("@"):
        return await resolve(bot, chat)
    if isinstance(chat, str) and not re.fullmatch(r"-?[0-9]{1,19}", chat):
        raise _invalid("chats", "expected chat ids, or names such as @channel")
    if not 0 < abs(int(chat)) <= BIGGEST_CHAT_ID:
        raise _invalid("chats", "expected chat ids of 64 bits, none of them 0")
    return int(chat)


def _invalid(field: str, message: str) -> Refusal:
    return Refusal(
        422, "Invalid schedule", f"{field}: {message}", {"errors": [{"field": field, "message": message}]}
    )


def _unknown(schedule_id: UUID | None) -> Refusal:
    return Refusal(404, "Unknown schedule", f"there is no schedule {schedule_id}")
