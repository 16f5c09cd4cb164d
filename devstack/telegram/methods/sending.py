"""Methods that put a new message into a chat."""

from typing import Any

from devstack.telegram import access, keyboard, shapes, texts
from devstack.telegram.cloud import Call
from devstack.telegram.keyboard import Markup
from devstack.telegram.records import Sent
from devstack.telegram.refusals import bad_request
from devstack.telegram.world import Chat, Message
from shared.markdown import Formatted


async def send_message(call: Call) -> dict[str, Any]:
    """Send a text; the checks come in Telegram's order, and a refused message has no effect."""
    more: dict[str, Any] = {}
    if (preview := _link_preview(call)) is not None:
        more["link_preview_options"] = preview
    given = texts.parsed(call)
    reply_to, may_lack_reply = _reply(call)
    markup = keyboard.read(call)
    chat = access.chat_of(call)
    if call.arguments.integer("message_thread_id") > 0:
        raise bad_request("message thread not found")
    if reply_to:
        more |= _replied(call, chat, reply_to, may_lack=may_lack_reply)
    access.check_post_right(chat, call.bot)
    keyboard.check(markup)
    text = texts.finished(given)
    if call.arguments.flag("protect_content"):
        more["has_protected_content"] = True
    message = await _put(call, chat, text, markup=markup, more=more)
    return shapes.message(message, call.world)


async def copy_message(call: Call) -> dict[str, int]:
    """Send the text of another message anew."""
    original, chat = _original(call)
    markup = keyboard.read(call)
    keyboard.check(markup)
    message = await _put(call, chat, Formatted(original.text or "", original.entities), markup=markup)
    return {"message_id": message.id}


async def forward_message(call: Call) -> dict[str, Any]:
    """Send another message with its origin."""
    original, chat = _original(call)
    sender = original.sender or call.bot.user
    origin = {"type": "user", "date": original.date, "sender_user": shapes.user(sender)}
    text = Formatted(original.text or "", original.entities)
    message = await _put(call, chat, text, more={"forward_origin": origin})
    return shapes.message(message, call.world)


def _original(call: Call) -> tuple[Message, Chat]:
    source = access.chat_of(call, "from_chat_id")
    original = access.message_of(call, source, bad_request("message to copy not found"))
    chat = access.chat_of(call)
    access.check_post_right(chat, call.bot)
    if original.text is None:
        raise bad_request("message can't be copied")
    return original, chat


async def _put(
    call: Call,
    chat: Chat,
    text: Formatted,
    *,
    markup: Markup | None = None,
    more: dict[str, Any] | None = None,
) -> Message:
    """Pass the last checks and the flood control, write the message and remember the send."""
    access.check_send_right(chat, call.bot)
    cloud = call.cloud
    hold = cloud.flood.admit(
        call.bot.id,
        chat.id,
        private=chat.user is not None,
        paid=call.arguments.flag("allow_paid_broadcast"),
        now=cloud.clock.monotonic(),
    )
    if hold:
        await cloud.clock.sleep(hold)
    now = cloud.moment()
    message = call.world.write(
        chat,
        call.bot,
        now.time,
        sender=call.bot.user,
        bot_id=call.bot.id,
        text=text.text,
        entities=text.entities,
        reply_markup=markup,
        more=more,
    )
    cloud.records.send(
        Sent(call.arrived, now, call.bot.id, message, text.text, text.entities, markup, call.via)
    )
    return message


def _link_preview(call: Call) -> dict[str, Any] | None:
    fault = "can't parse link preview options JSON object"
    given = call.json("link_preview_options", fault)
    if given is None:
        return {"is_disabled": True} if call.arguments.flag("disable_web_page_preview") else None
    if not isinstance(given, dict):
        raise bad_request("object expected as link preview options")
    return given


def _reply(call: Call) -> tuple[int, bool]:
    """Return the number of the message to reply to (0 for none), and whether it may be missing."""
    given = call.json("reply_parameters", "can't parse reply parameters JSON object")
    if given is None:
        arguments = call.arguments
        return arguments.integer("reply_to_message_id"), arguments.flag("allow_sending_without_reply")
    if not isinstance(given, dict):
        raise bad_request("object expected as reply parameters")
    number = given.get("message_id", 0)
    return number if isinstance(number, int) else 0, given.get("allow_sending_without_reply") is True


def _replied(call: Call, chat: Chat, number: int, *, may_lack: bool) -> dict[str, Any]:
    original = call.world.message(chat, call.bot.id, number)
    if original is None:
        if may_lack:
            return {}
        raise bad_request("message to be replied not found")
    shape = shapes.message(original, call.world)
    shape.pop("reply_to_message", None)  # a reply shows one level
    return {"reply_to_message": shape}
