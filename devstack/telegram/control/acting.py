"""Control requests that play people: press a button, write to a bot, and hand a bot any update at all."""

import asyncio
import json
from typing import Any

from pydantic import Field, JsonValue

from devstack.telegram import people
from devstack.telegram.cloud import Cloud
from devstack.telegram.control.asking import Asked, NotThere, bot_of, chat_of, user_of
from devstack.telegram.people import Press
from devstack.telegram.records import Answered
from devstack.telegram.updates import Update
from devstack.telegram.world import Bot, Chat, Message
from shared import tasks


class PressButton(Asked):
    """A press; `data` forges callback data, `repeat` delivers the same update several times.

    `button` is a text or the place among all buttons, by default the first callback button. `wait` bounds
    the seconds for the delivery, and again for the answer.
    """

    chat_id: int
    message_id: int
    user_id: int | None = None
    bot_id: int | None = None
    button: str | int | None = None
    data: str | None = None
    repeat: int = Field(1, ge=1, le=1000)
    wait: float = Field(5.0, ge=0, le=60)


class Write(Asked):
    """A message or command from a user, or with `edit_message_id` the change of one.

    An `update_id` of one's own repeats an update or breaks the order; `wait` bounds the seconds for the
    delivery.
    """

    chat_id: int
    text: str = Field(max_length=4096)
    user_id: int | None = None
    bot_id: int | None = None
    edit_message_id: int | None = None
    update_id: int | None = None
    wait: float = Field(0.0, ge=0, le=60)


class HandOver(Asked):
    """Any JSON value as an update, or any text as the body of one."""

    bot_id: int | None = None
    update: JsonValue = None
    raw: str | None = None
    wait: float = Field(0.0, ge=0, le=60)


async def press(cloud: Cloud, asked: PressButton, _: int) -> dict[str, Any]:
    """Press a button as a user, and tell how the press was delivered and answered."""
    chat = chat_of(cloud, asked.chat_id)
    bot, message = _pressed(cloud, chat, asked)
    button = _button(message, asked.button) if asked.data is None else {"callback_data": asked.data}
    if "url" in button:
        return {"url": button["url"]}
    if "callback_data" not in button:
        raise ValueError("that button sends nothing to the bot")
    user = user_of(cloud, asked.user_id, chat)
    shown = message or asked.message_id
    pressed = Press(bot, chat, shown, user, button["callback_data"])
    query_id, update = people.press(cloud, pressed, copies=asked.repeat)
    cloud.awaited[query_id] = told = asyncio.Event()
    try:
        delivered = await _delivered(update, asked.wait)
        if delivered:
            await tasks.wait(told, asked.wait)
    finally:
        del cloud.awaited[query_id]
    return {
        "update_id": update and update.update_id,
        "callback_query_id": query_id,
        "delivered": delivered,
        "answered": answer(cloud, query_id) if told.is_set() else None,
    }


async def write(cloud: Cloud, asked: Write, _: int) -> dict[str, Any]:
    """Write to a chat as a user; every bot there is told, in private one bot."""
    chat = chat_of(cloud, asked.chat_id)
    bot = None if asked.bot_id is None else bot_of(cloud, asked.bot_id)
    user = user_of(cloud, asked.user_id, chat)
    seen = people.write(
        cloud, chat, user, asked.text, bot=bot, edits=asked.edit_message_id, update_id=asked.update_id
    )
    updates = [
        {
            "bot_id": each.id,
            "update_id": update and update.update_id,
            "message_id": message.id,
            "delivered": await _delivered(update, asked.wait),
        }
        for each, message, update in seen
    ]
    return {**updates[0], "updates": updates}


async def hand_over(cloud: Cloud, asked: HandOver, _: int) -> dict[str, Any]:
    """Give a bot an update as it stands: repeated, out of order, unknown, malformed."""
    bot = bot_of(cloud, asked.bot_id)
    body = asked.raw if asked.raw is not None else json.dumps(asked.update)
    number = asked.update.get("update_id") if isinstance(asked.update, dict) else None
    update = bot.updates.add_raw(body, number if isinstance(number, int) else None)
    return {"update_id": update.update_id, "delivered": await _delivered(update, asked.wait)}


def answer(cloud: Cloud, query_id: str) -> dict[str, Any] | None:
    """Return the last answer to a press, None where it is forgotten or never came."""
    answers = [each for _, each in cloud.records.answers.since(cloud.records.answers.total - 1000)]
    for each in reversed(answers):
        if each.callback_query_id == query_id:
            return answered(each)
    return None


def answered(answer: Answered) -> dict[str, Any]:
    """Return an answer as a JSON value."""
    return {
        "bot_id": answer.bot_id,
        "callback_query_id": answer.callback_query_id,
        "at": answer.at.time,
        "monotonic": answer.at.monotonic,
        "text": answer.text,
        "show_alert": answer.show_alert,
        "url": answer.url,
        "cache_time": answer.cache_time,
        "via": answer.via,
    }


def _pressed(cloud: Cloud, chat: Chat, asked: PressButton) -> tuple[Bot, Message | None]:
    """Return the bot whose button is pressed and its message, None where the bot cannot see it any more."""
    bots = [bot_of(cloud, asked.bot_id)] if asked.bot_id is not None else list(cloud.world.bots.values())
    for bot in bots:
        message = cloud.world.message(chat, bot.id, asked.message_id)
        if message is not None and message.bot_id == bot.id:
            return bot, message
    if asked.data is None:
        raise NotThere(f"no bot wrote message {asked.message_id} in chat {chat.id}")
    return bot_of(cloud, asked.bot_id), None


def _button(message: Message | None, wanted: str | int | None) -> dict[str, Any]:
    markup = (message and message.reply_markup) or {}
    buttons: list[dict[str, Any]] = [button for row in markup.get("inline_keyboard", ()) for button in row]
    for place, button in enumerate(buttons):
        if wanted is None and "callback_data" in button:
            return button
        if wanted is not None and (wanted == button["text"] or str(wanted) == str(place)):
            return button
    raise NotThere("the message has no such button")


async def _delivered(update: Update | None, wait: float) -> bool:
    if update is None:
        return False
    return update.delivered.is_set() or await tasks.wait(update.delivered, wait)
