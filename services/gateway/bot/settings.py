"""`/settings`: how somebody wants to be reached, when, and in which language."""

import re
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.gateway.bot import texts
from services.gateway.bot.newsletter import gets_news, known_to_senders, set_subscribed
from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from services.gateway.store import Preference
from shared.events import Channel, QuietHours
from shared.markdown import Message
from shared.queries import PutRecipient, RecipientView

NAMES = {"en": "English", "es": "Español"}
"""Languages, in their own words."""
NIGHTS = ("22:00-07:00", "23:00-08:00", "21:00-09:00")
ZONES = (
    "UTC", "Europe/London", "Europe/Madrid", "America/New_York", "America/Mexico_City", "America/Bogota",
    "Asia/Dubai", "Asia/Singapore",
)  # fmt: skip
_NIGHT = re.compile(r"(\d{1,2})(?::(\d{2}))?-(\d{1,2})(?::(\d{2}))?", re.ASCII)


async def settings(asked: Asked, hands: Hands) -> Message:
    """Show the settings, or change one of them."""
    what, *rest = [*asked.words, ""]
    rest = [word for word in rest if word]
    match what.lower():
        case "" if not rest:
            return _overview(asked, await known_to_senders(asked, hands))
        case "language":
            return await _language(asked, hands, [word.lower() for word in rest])
        case "news":
            return await _news(asked, hands, [word.lower() for word in rest])
        case "channels":
            return await _channels(asked, hands, [word.lower() for word in rest])
        case "quiet":
            return await _quiet(asked, hands, [word.lower() for word in rest])
        case "zone":
            return await _zone(asked, hands, rest)
    raise NotUnderstood


def _overview(asked: Asked, known: RecipientView | None) -> Message:
    news = gets_news(asked, known)
    muted = known.muted if known else ()
    channels = ", ".join(asked.say(f"channels.{each}") for each in Channel if each not in muted)
    quiet = _night(known.quiet_hours) if known and known.quiet_hours else asked.say("settings.quiet_none")
    message = Message().title(asked.say("settings.title")).blank()
    message.bullet(
        asked.say("settings.marketing", state=asked.say("settings.on" if news else "settings.off"))
    )
    message.bullet(asked.say("settings.channels", channels=channels))
    message.bullet(asked.say("settings.quiet", quiet=quiet))
    message.bullet(asked.say("settings.zone", zone=(known and known.time_zone) or "UTC"))
    message.bullet(asked.say("settings.language", language=NAMES[texts.language_of(asked.user.language)]))
    key, wanted = ("settings.marketing_on", "off") if news else ("settings.marketing_off", "on")
    message.row(asked.press(key, "settings", f"news {wanted}"))
    message.row(
        asked.press("settings.channels_button", "settings", "channels"),
        asked.press("settings.language_button", "settings", "language"),
    )
    return message.row(
        asked.press("settings.quiet_button", "settings", "quiet"),
        asked.press("settings.zone_button", "settings", "zone"),
    )


async def _language(asked: Asked, hands: Hands, words: list[str]) -> Message:
    match words:
        case []:
            message = Message().text(asked.say("settings.language_ask"))
            names = sorted(texts.TEXTS)
            message.row(*(asked.button(NAMES[each], "settings", f"language {each}") for each in names))
            message.row(asked.press("settings.language_auto", "settings", "language auto"))
            return _with_way_back(message, asked)
        case [language] if language in {*texts.TEXTS, "auto"}:
            chosen = None if language == "auto" else language
            await hands.users.choose_language(asked.user, chosen, asked.wish)
            return _overview(await asked.again(hands), await known_to_senders(asked, hands))
    raise NotUnderstood


async def _news(asked: Asked, hands: Hands, words: list[str]) -> Message:
    if words not in (["on"], ["off"]):
        raise NotUnderstood
    await set_subscribed(asked, hands, wanted=words == ["on"])
    return _overview(await asked.again(hands), await known_to_senders(asked, hands))


async def _channels(asked: Asked, hands: Hands, words: list[str]) -> Message:
    match words:
        case []:
            return _choosing_channels(asked, await known_to_senders(asked, hands))
        case [name, "on" | "off" as wanted] if name in set(Channel):
            known = await known_to_senders(asked, hands)
            muted = set(known.muted if known else ())
            muted = muted - {Channel(name)} if wanted == "on" else muted | {Channel(name)}
            if len(muted) == len(Channel):
                return _choosing_channels(asked, known, asked.say("settings.last_channel"))
            in_order = tuple(each for each in Channel if each in muted)
            return _choosing_channels(asked, await _put(asked, hands, "muted", muted=in_order))
    raise NotUnderstood


def _choosing_channels(asked: Asked, known: RecipientView | None, *first: str) -> Message:
    message = Message()
    for line in first:
        message.text(f"⚠️ {line}").blank()
    message.text(asked.say("settings.channels_ask"))
    for channel in Channel:
        is_on = known is None or channel not in known.muted
        key, wanted = ("settings.channel_on", "off") if is_on else ("settings.channel_off", "on")
        name = asked.say(f"channels.{channel}")
        message.row(asked.press(key, "settings", f"channels {channel} {wanted}", channel=name))
    return _with_way_back(message, asked)


async def _quiet(asked: Asked, hands: Hands, words: list[str]) -> Message:
    match words:
        case []:
            message = Message().text(asked.say("settings.quiet_ask"))
            message.row(*(asked.button(each, "settings", f"quiet {each}") for each in NIGHTS))
            message.row(asked.press("settings.quiet_off", "settings", "quiet off"))
            return _with_way_back(message, asked)
        case ["off"]:
            return _overview(asked, await _put(asked, hands, "quiet_hours", clear=("quiet_hours",)))
        case [night]:
            return _overview(asked, await _put(asked, hands, "quiet_hours", quiet_hours=_hours(night)))
    raise NotUnderstood


async def _zone(asked: Asked, hands: Hands, words: list[str]) -> Message:
    match words:
        case []:
            message = Message().text(asked.say("settings.zone_ask"))
            for place in range(0, len(ZONES), 2):
                pair = ZONES[place : place + 2]
                message.row(*(asked.button(each, "settings", f"zone {each}") for each in pair))
            return _with_way_back(message, asked)
        case [zone]:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                return _with_way_back(Message().text(asked.say("settings.zone_unknown")), asked)
            return _overview(asked, await _put(asked, hands, "time_zone", time_zone=zone))
    raise NotUnderstood


async def _put(asked: Asked, hands: Hands, what: Preference, **changes: Any) -> RecipientView | None:
    """Have senders change something, unless it was wished otherwise since; return how it is now."""
    if not await hands.users.is_newest(asked.user, what, asked.wish):
        return await known_to_senders(asked, hands)
    command = {"cause": asked.cause, "user_id": asked.user.id, "at": asked.update.at, **changes}
    return await hands.bus.ask(PutRecipient.model_validate(command))


def _with_way_back(message: Message, asked: Asked) -> Message:
    return message.row(asked.press("back", "settings"))


def _hours(night: str) -> QuietHours:
    """Read `22:00-07:00`, or `22-7`; raises NotUnderstood."""
    found = _NIGHT.fullmatch(night)
    if found is None:
        raise NotUnderstood
    hours = [int(part or 0) for part in found.groups()]
    try:
        return QuietHours(start=time(hours[0], hours[1]), end=time(hours[2], hours[3]))
    except ValueError:
        raise NotUnderstood from None


def _night(quiet: QuietHours) -> str:
    zone = f" ({quiet.zone})" if quiet.zone else ""
    return f"{quiet.start:%H:%M}-{quiet.end:%H:%M}{zone}"


SETTINGS = Command(
    name="settings",
    category="general",
    description="Channels, language and quiet hours",
    role=Role.PUBLIC,
    run=settings,
    usage="[quiet 22:00-07:00|zone <name>]",
    help="Sets how we reach you. What concerns your own account always comes.",
    private=True,
)
