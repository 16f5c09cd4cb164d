"""Methods that change or delete a message."""

from typing import Any

from devstack.telegram import access, keyboard, shapes, texts
from devstack.telegram.cloud import Call
from devstack.telegram.keyboard import Markup
from devstack.telegram.refusals import bad_request
from devstack.telegram.world import Message

_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same"
    " as a current content and reply markup of the message"
)


async def edit_message_text(call: Call) -> dict[str, Any] | bool:
    """Change a message's text; without reply_markup its keyboard goes."""
    given = texts.parsed(call)
    markup = keyboard.read(call)
    message = _own_message(call)
    if message is None:
        texts.finished(given, too_long="MESSAGE_TOO_LONG")
        return True
    if message.text is None:
        raise bad_request("there is no text in the message to edit")
    keyboard.check(markup)
    text = texts.finished(given, too_long="MESSAGE_TOO_LONG")
    if (text.text, text.entities) == (message.text, message.entities) and markup == message.reply_markup:
        raise bad_request(_NOT_MODIFIED)
    message.text, message.entities = text.text, text.entities
    return _edited(call, message, markup)


async def edit_message_reply_markup(call: Call) -> dict[str, Any] | bool:
    """Change a message's keyboard; without reply_markup it goes."""
    markup = keyboard.read(call)
    message = _own_message(call)
    keyboard.check(markup)
    if message is None:
        return True
    if markup == message.reply_markup:
        raise bad_request(_NOT_MODIFIED)
    return _edited(call, message, markup)


async def delete_message(call: Call) -> bool:
    """Delete a message: the bot's own, and in private chats also the other side's."""
    if not call.arguments.text("chat_id"):
        raise bad_request("chat identifier is not specified")
    chat = access.chat_of(call)
    message = access.message_of(call, chat, bad_request("message to delete not found"))
    if message.bot_id != call.bot.id and chat.user is None:
        raise bad_request("message can't be deleted")
    call.world.erase(message, call.bot.id)
    return True


def _own_message(call: Call) -> Message | None:
    """Return the bot's message that is to change, None for an inline one; raises Refused."""
    if not call.arguments.text("chat_id") and call.arguments.text("inline_message_id"):
        return None
    if "chat_id" not in call.arguments and "message_id" not in call.arguments:
        raise bad_request("message identifier is not specified")
    chat = access.chat_of(call)
    message = access.message_of(call, chat, bad_request("message to edit not found"))
    if message.bot_id != call.bot.id:
        raise bad_request("message can't be edited")
    return message


def _edited(call: Call, message: Message, markup: Markup | None) -> dict[str, Any]:
    message.reply_markup = markup
    message.edit_date = int(call.cloud.clock.time())
    return shapes.message(message, call.world)
