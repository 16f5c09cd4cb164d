"""`/broadcast`: one text to many, seen before it is sent."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.gateway.bot.newsletter import known_to_senders
from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.broadcasts import AUDIENCES, ROLES, Broadcast, Draft, instant_of
from services.gateway.domain.roles import Role
from services.gateway.domain.updates import replied_text
from shared import ids
from shared.events import Address, Button, Channel, MessageRequested
from shared.markdown import Message, Refused, escape
from shared.queries import Audience, EstimateCampaign

MOST = 8
MOST_CHARACTERS = 3000
LATEST = timedelta(days=90)
VALID = timedelta(hours=24)
HOURS = (1, 3, 24)
VERBS = {"show", "audience", "test", "send", "in", "at", "cancel"}
ENDED = {"sent", "failed", "cancelled"}
_CTA = re.compile(r"\[([^\[\]]{1,64})\]\((https?://[^\s()]{1,2000})\)")


async def broadcast(asked: Asked, hands: Hands) -> Message:
    """List broadcasts, write a draft, or do with one what a button says."""
    written = asked.rest or replied_text(asked.update.update) or ""
    words = asked.words
    if (
        words
        and words[0] in VERBS
        and len(words) > 1
        and (found := await _named(hands, words[1])) is not None
    ):
        return await _do(asked, hands, found, words[0], words[2:])
    if asked.update.kind == "callback_query":
        return await _list(asked, hands) if not words else Message().text(asked.say("broadcast.gone"))
    return await _draft(asked, hands, written) if written.strip() else await _list(asked, hands)


async def _draft(asked: Asked, hands: Hands, written: str) -> Message:
    draft = _read(written, asked.update.bot)
    try:
        draft.checked()
    except Refused as refused:
        message = Message().title(asked.say("nothing_done"))
        for problem in refused.problems:
            message.bullet(problem)
        return message
    broadcast_id = ids.derived("broadcast", asked.cause)
    await hands.broadcasts.create(broadcast_id, draft)
    return await _show(asked, hands, broadcast_id)


async def _do(asked: Asked, hands: Hands, found: Broadcast, verb: str, words: list[str]) -> Message:
    match verb, words:
        case "show", []:
            pass
        case "audience", [word] if word in AUDIENCES:
            audience = next(each for each in AUDIENCES if each == word)
            await hands.broadcasts.change(found.id, replace(found.draft, audience=audience))
        case "test", []:
            await hands.bus.publish(_test(asked, found))
        case "send", []:
            await hands.broadcasts.send(found.id, None, None)
        case "in", [hours] if hours.isdecimal() and 0 < int(hours) <= LATEST.days * 24:
            await hands.broadcasts.send(found.id, asked.update.at + timedelta(hours=int(hours)), "UTC")
        case "at", [day, clock]:
            return await _schedule(asked, hands, found, f"{day} {clock}")
        case "cancel", []:
            await hands.broadcasts.cancel(found.id)
        case _:
            raise NotUnderstood
    return await _show(asked, hands, found.id)


async def _schedule(asked: Asked, hands: Hands, found: Broadcast, written: str) -> Message:
    """Schedule by the clocks of whoever asked."""
    known = await known_to_senders(asked, hands)
    name = (known and known.time_zone) or "UTC"
    try:
        zone = ZoneInfo(name)
        local = datetime.strptime(written, "%Y-%m-%d %H:%M")  # noqa: DTZ007 - the zone comes with the next line
        at = instant_of(local, zone)
    except (ValueError, ZoneInfoNotFoundError):
        raise NotUnderstood from None
    if not asked.now < at <= asked.now + LATEST:
        return Message().text(asked.say("broadcast.not_then", days=LATEST.days))
    await hands.broadcasts.send(found.id, at, name)
    return await _show(asked, hands, found.id)


async def _list(asked: Asked, hands: Hands) -> Message:
    found = await hands.broadcasts.page(MOST)
    message = Message().title(asked.say("broadcast.title")).blank().text(asked.say("broadcast.how")).blank()
    for each in found:
        message.bullet(f"{_first_line(each)} ({asked.say(f'broadcast.status.{each.status}')})")
        message.button(asked.button(_first_line(each), "broadcast", f"show {ids.to_short(each.id)}"))
    return message if found else message.text(asked.say("broadcast.none"))


async def _show(asked: Asked, hands: Hands, broadcast_id: UUID) -> Message:
    found = await hands.broadcasts.find(broadcast_id)
    if found is None:
        return Message().text(asked.say("broadcast.gone"))
    message = Message().title(asked.say(f"broadcast.status.{found.status}")).blank()
    message.bullet(
        asked.say("broadcast.audience", audience=asked.say(f"broadcast.to.{found.draft.audience}"))
    )
    if found.status == "draft":
        await _estimate(message, asked, hands, found)
        later = f"{asked.now + timedelta(days=1):%Y-%m-%d} 09:00"
        message.text(asked.say("broadcast.how_at"))
        message.code(f"/broadcast at {ids.to_short(found.id)} {later}")
    if found.scheduled_at is not None:
        message.bullet(asked.say("broadcast.at", time=f"{found.scheduled_at.astimezone(UTC):%Y-%m-%d %H:%M}"))
    if found.recipients is not None:
        message.bullet(
            asked.say(
                "broadcast.sums", recipients=found.recipients, sent=found.sent or 0, failed=found.failed or 0,
                suppressed=found.suppressed or 0, ambiguous=found.ambiguous or 0,
            )
        )  # fmt: skip
    if found.reason is not None:
        message.bullet(asked.say("broadcast.reason", reason=found.reason))
    # A text near Telegram's limit leaves no room for what stands above it; the test shows it whole.
    if len(found.draft.text) <= MOST_CHARACTERS:
        message.divider().source(found.draft.text)
    for row in found.draft.body().buttons:
        message.row(*row)
    return _with_buttons(message, asked, found)


async def _estimate(message: Message, asked: Asked, hands: Hands, found: Broadcast) -> None:
    audience = Audience(roles=ROLES[found.draft.audience])
    estimate = await hands.bus.ask(
        EstimateCampaign(audience=audience, channels=(Channel.TELEGRAM,), bot=found.draft.bot)
    )
    minutes = f"{estimate.seconds / 60:.1f}"
    message.bullet(asked.say("broadcast.estimate", people=estimate.recipients, minutes=minutes))


def _with_buttons(message: Message, asked: Asked, found: Broadcast) -> Message:
    name = ids.to_short(found.id)

    def act(key: str, verb: str, more: str = "", **values: object) -> Button:
        return asked.press(f"broadcast.{key}", "broadcast", f"{verb} {name} {more}".rstrip(), **values)

    if found.status == "draft":
        others = [each for each in AUDIENCES if each != found.draft.audience]
        message.row(*(act(f"to.{each}", "audience", each) for each in others))
        message.row(act("test", "test"), act("send", "send"))
        message.row(*(act("in_hours", "in", str(each), hours=each) for each in HOURS))
    if found.status not in ENDED:
        message.row(act("cancel", "cancel"))
    return message.row(act("refresh", "show"), asked.press("broadcast.all", "broadcast"))


def _test(asked: Asked, found: Broadcast) -> MessageRequested:
    return MessageRequested(
        id=ids.derived("test broadcast", asked.cause), at=asked.update.at, channels=(Channel.TELEGRAM,),
        address=Address(telegram_chat_id=asked.written.chat_id), bot=asked.update.bot,
        body=found.draft.body(), expires_at=asked.update.at + VALID, metadata={"test": True},
    )  # fmt: skip


async def _named(hands: Hands, name: str) -> Broadcast | None:
    try:
        return await hands.broadcasts.find(ids.from_short(name))
    except ValueError:
        return None


def _read(written: str, bot: str) -> Draft:
    """Take what somebody wrote as it is; a last line `[words](https://…)` becomes the button."""
    lines = written.strip().split("\n")
    found = _CTA.fullmatch(lines[-1].strip()) if len(lines) > 1 else None
    if found is None:
        return Draft(escape(written.strip()), bot=bot)
    text = escape("\n".join(lines[:-1]).strip())
    return Draft(text, cta_text=found[1], cta_url=found[2], bot=bot)


def _first_line(found: Broadcast) -> str:
    line = found.draft.checked().text.split("\n")[0]
    return line if len(line) <= 40 else f"{line[:39]}…"


BROADCAST = Command(
    name="broadcast",
    category="marketing",
    description="Send a message to many",
    role=Role.ADMIN,
    run=broadcast,
    usage="[text|at <broadcast> 2027-01-31 09:00]",
    help="Write the text behind the command, or answer a message with it; a last line [words](https://…) "
    "becomes a button. You see it, and choose who gets it, before anything is sent.",
    private=True,
)
