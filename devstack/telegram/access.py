"""Whether a bot may reach a chat and write to it: each obstacle is one row of Telegram's error table."""

from devstack.telegram.cloud import Call
from devstack.telegram.refusals import Refused, bad_request, forbidden
from devstack.telegram.world import Bot, Chat, Message

# Telegram's words for a chat the bot is not in.
_KINDS = {"group": "group chat", "supergroup": "supergroup chat", "channel": "channel chat"}


def chat_of(call: Call, name: str = "chat_id") -> Chat:
    """Return the chat that the argument names, checked as Telegram's server does before anything is sent."""
    identifier = call.arguments.text(name)
    if not identifier:
        raise bad_request("chat_id is empty")
    chat = known_chat(call, identifier)
    if chat is None:
        raise bad_request("chat not found")
    _check_membership(chat, call.bot)
    return chat


def known_chat(call: Call, identifier: str) -> Chat | None:
    """Return the chat of a number or @name, None where the bot cannot know it; raises Refused for bots."""
    if identifier.startswith("@"):
        return call.world.chat_named(identifier)
    try:
        number = int(identifier)
    except ValueError:
        return None
    if number == call.bot.id:
        raise forbidden("the bot can't send messages to the bot")
    if number in call.world.bots:
        raise forbidden("bot can't send messages to bots")
    return call.world.chats.get(number)


def _check_membership(chat: Chat, bot: Bot) -> None:
    if chat.user is not None:
        return
    if chat.migrated_to is not None:
        raise bad_request(
            "group chat was upgraded to a supergroup chat", {"migrate_to_chat_id": chat.migrated_to}
        )
    if chat.has("deleted", bot.id):
        raise (
            forbidden("the group chat was deleted") if chat.type == "group" else bad_request("chat not found")
        )
    if chat.has("kicked", bot.id):
        raise forbidden(f"bot was kicked from the {_KINDS[chat.type]}")
    if chat.has("not_member", bot.id):
        raise forbidden(f"bot is not a member of the {_KINDS[chat.type]}")


def check_post_right(chat: Chat, bot: Bot) -> None:
    """Raise Refused where a channel lets only its administrators post and the bot is none."""
    if chat.type == "channel" and chat.has("no_post_right", bot.id):
        raise bad_request("need administrator rights in the channel chat")


def check_send_right(chat: Chat, bot: Bot) -> None:
    """Raise Refused where the back end does not let the bot write, the last check of all but the flood."""
    if chat.has("restricted", bot.id):
        raise bad_request("not enough rights to send text messages to the chat")
    if chat.type != "channel" and chat.has("no_post_right", bot.id):
        raise bad_request("have no write access to the chat")
    if chat.user is None:
        return
    if chat.has("user_deactivated", bot.id) or chat.has("deleted", bot.id):
        raise forbidden("user is deactivated")
    if chat.has("user_blocked", bot.id):
        raise forbidden("bot was blocked by the user")
    if chat.has("never_started", bot.id):
        raise forbidden("bot can't initiate conversation with a user")


def message_of(call: Call, chat: Chat, absent: Refused) -> Message:
    """Return the message that `message_id` names; raises Refused where there is none such."""
    number = call.arguments.integer("message_id")
    if number <= 0:
        raise bad_request("message identifier is not specified")
    message = call.world.message(chat, call.bot.id, number)
    if message is None:
        raise absent
    return message
