"""`/start`: the greeting, and the end of a deep link."""

import re

from services.gateway.bot.registry import Asked, Command, Hands
from services.gateway.domain.roles import Role
from shared.events import ButtonClicked, ClickSource, click_id
from shared.markdown import Message

PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


async def start(asked: Asked, hands: Hands) -> Message:
    """Greet, and record the deep link that brought somebody here."""
    if PAYLOAD.fullmatch(asked.rest):
        await hands.bus.publish(_press(asked))
    name = asked.user.first_name.strip()
    greeting = asked.say("start.welcome_name", name=name) if name else asked.say("start.welcome")
    message = Message().title(greeting).blank().text(asked.say("start.where")).blank()
    message.text(asked.say("start.next"))
    message.row(asked.press("start.guides", "guides"), asked.press("start.help", "help"))
    return (
        message.button(asked.press("start.newsletter", "newsletter")) if asked.written.is_private else message
    )


def _press(asked: Asked) -> ButtonClicked:
    update = asked.update
    return ButtonClicked(
        id=click_id(update.bot_id, update.update_id), at=update.at, source=ClickSource.DEEP_LINK,
        payload=asked.rest, bot=update.bot, bot_id=update.bot_id, update_id=update.update_id,
        person=asked.written.person, chat_id=asked.written.chat_id, message_id=asked.written.message_id,
    )  # fmt: skip


START = Command(
    name="start",
    category="general",
    description="Begin here",
    role=Role.PUBLIC,
    run=start,
    usage="[payload]",
    help="Says hello. A link that leads here may bring along what it is about.",
)
