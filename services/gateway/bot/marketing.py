"""Commands about the schedules that post promos."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.gateway.bot.registry import Asked, Command, Hands
from services.gateway.domain.roles import Role
from shared.markdown import Message
from shared.queries import CountClicks, ListSchedules, ScheduleView, StartSchedule, StopSchedule


async def start_marketing(asked: Asked, hands: Hands) -> Message:
    """Have the default schedule started, and tell what came of it."""
    answer = await hands.bus.ask(StartSchedule(cause=asked.cause, asked_at=asked.update.at))
    message = Message()
    if not answer.schedule.active:
        message.title(asked.say("marketing.stopped_already")).text(asked.say("marketing.overtaken"))
    elif answer.changed:
        message.title(asked.say("marketing.running")).text(asked.say("marketing.first_now"))
    else:
        message.title(asked.say("marketing.running_already")).text(asked.say("marketing.unchanged"))
    _describe(message.blank(), answer.schedule, asked)
    return _with_buttons(message, asked, active=answer.schedule.active)


async def stop_marketing(asked: Asked, hands: Hands) -> Message:
    """Have the default schedule stopped, and what is unsent cancelled."""
    answer = await hands.bus.ask(StopSchedule(cause=asked.cause, asked_at=asked.update.at))
    message = Message()
    if answer.schedule.active:
        message.title(asked.say("marketing.running_already")).text(asked.say("marketing.overtaken"))
    elif answer.changed:
        message.title(asked.say("marketing.stopped")).text(asked.say("marketing.unsent_cancelled"))
    else:
        message.title(asked.say("marketing.stopped_already")).text(asked.say("marketing.unchanged"))
    return _with_buttons(message, asked, active=answer.schedule.active)


async def marketing_status(asked: Asked, hands: Hands) -> Message:
    """Show every schedule, and how often promos were pressed."""
    schedules, clicks = await asyncio.gather(hands.bus.ask(ListSchedules()), hands.bus.ask(CountClicks()))
    message = Message().title(asked.say("marketing.status"))
    for schedule in schedules.items:
        state = "marketing.is_running" if schedule.active else "marketing.is_stopped"
        _describe(message.blank().text(asked.say(state)), schedule, asked)
    if not schedules.items:
        message.blank().text(asked.say("marketing.none"))
    message.blank().text(
        asked.say(
            "marketing.presses",
            clicks=sum(each.clicks for each in clicks.items),
            people=sum(each.unique_users for each in clicks.items),
            posts=sum(each.posts for each in clicks.items),
        )
    )
    return _with_buttons(message, asked, active=any(each.active for each in schedules.items))


def _with_buttons(message: Message, asked: Asked, *, active: bool) -> Message:
    change = (
        asked.press("marketing.stop", "stop_marketing")
        if active
        else asked.press("marketing.start", "start_marketing")
    )
    message.row(change, asked.press("marketing.refresh", "marketing_status"))
    return message.row(asked.press("marketing.promos", "promos"))


def _describe(message: Message, schedule: ScheduleView, asked: Asked) -> None:
    number = len(schedule.chat_ids)
    chats = asked.say("marketing.chat") if number == 1 else asked.say("marketing.chats", n=number)
    message.bullet(_timing(schedule, chats, asked))
    if schedule.last_run is not None:
        message.bullet(asked.say("marketing.last", time=_at(schedule.last_run, schedule.time_zone)))
    if schedule.next_run is not None:
        message.bullet(asked.say("marketing.next", time=_at(schedule.next_run, schedule.time_zone)))
    elif schedule.active:
        message.bullet(asked.say("marketing.not_scheduled"))
    if not number:
        message.blank().text(asked.say("marketing.no_chats"))


def _timing(schedule: ScheduleView, chats: str, asked: Asked) -> str:
    if schedule.interval_seconds is None:
        return asked.say("marketing.cron", cron=schedule.cron, zone=schedule.time_zone, chats=chats)
    interval = _interval(schedule.interval_seconds, asked)
    return asked.say("marketing.interval", interval=interval, chats=chats)


def _interval(seconds: float, asked: Asked) -> str:
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            number = seconds / unit
            if number == 1:
                return asked.say(f"marketing.{name}")
            return asked.say(f"marketing.{name}s", n=f"{number:g}")
    return asked.say("marketing.seconds", n=f"{seconds:g}")


def _at(moment: datetime, time_zone: str) -> str:
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone, time_zone = ZoneInfo("UTC"), "UTC"
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} ({time_zone})"


START_MARKETING = Command(
    name="start_marketing",
    category="marketing",
    description="Start posting promos",
    role=Role.ADMIN,
    run=start_marketing,
    aliases=("start-marketing",),
    help="Starts the schedule: one promo at once, then one per interval. Starting twice is starting once.",
)

STOP_MARKETING = Command(
    name="stop_marketing",
    category="marketing",
    description="Stop posting promos",
    role=Role.ADMIN,
    run=stop_marketing,
    aliases=("stop-marketing",),
    help="Stops the schedule and cancels what was due and unsent. Stopping twice is stopping once.",
)

MARKETING_STATUS = Command(
    name="marketing_status",
    category="marketing",
    description="How promos are doing",
    role=Role.ADMIN,
    run=marketing_status,
    aliases=("marketing-status",),
    help="Shows every schedule, its last and its next post, and how often promos were pressed.",
)
