"""Commands about promos and their schedule."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.gateway.bot.registry import Asked, Command, Hands
from services.gateway.domain.roles import Role
from shared.bus import NoAnswer, Refusal
from shared.markdown import Message
from shared.queries import ScheduleView, StartSchedule


async def start_marketing(asked: Asked, hands: Hands) -> Message:
    """Have the default schedule started, and tell what came of it."""
    try:
        answer = await hands.ask(StartSchedule(cause=asked.cause))
    except NoAnswer:
        return Message().text("The scheduler did not answer in time. It may still do it; ask again soon.")
    except Refusal as refusal:
        return Message().title("Nothing was started").text(refusal.detail or refusal.title)
    message = Message()
    if answer.changed:
        message.title("✅ Promos are running").text("The first one is posted now.")
    else:
        message.title("Promos were running already").text("Nothing has changed.")
    return _describe(message.blank(), answer.schedule)


def _describe(message: Message, schedule: ScheduleView) -> Message:
    chats = len(schedule.chat_ids)
    message.bullet(
        f"Every {_interval(schedule.interval_seconds)}, in {chats} chat{'' if chats == 1 else 's'}"
    )
    if schedule.last_run is not None:
        message.bullet(f"Last run: {_at(schedule.last_run, schedule.time_zone)}")
    if schedule.next_run is not None:
        message.bullet(f"Next run: {_at(schedule.next_run, schedule.time_zone)}")
    if not chats:
        message.blank().text("⚠️ No chat is set (PROMO_CHAT_IDS), so nothing will be posted.")
    return message


def _interval(seconds: float) -> str:
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            number = seconds / unit
            return f"{number:g} {name}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"


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
