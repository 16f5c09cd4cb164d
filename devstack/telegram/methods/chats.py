"""Methods about chats and their members, as far as bots ask in passing."""

from typing import Any

from devstack.telegram import access, people, shapes
from devstack.telegram.cloud import Call
from devstack.telegram.refusals import bad_request


async def send_chat_action(call: Call) -> bool:
    """Show that the bot is typing."""
    chat = access.chat_of(call)
    if not call.arguments.text("action"):
        raise bad_request("wrong parameter action in request")
    access.check_send_right(chat, call.bot)
    return True


async def get_chat(call: Call) -> dict[str, Any]:
    """Return a ChatFullInfo with its required fields."""
    chat = access.chat_of(call)
    return {
        **shapes.chat(chat),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(
            (
                "unlimited_gifts",
                "limited_gifts",
                "unique_gifts",
                "premium_subscription",
                "gifts_from_channels",
            ),
            False,
        ),
    }


async def get_chat_member(call: Call) -> dict[str, Any]:
    """Return a user's membership; whoever exists counts as a member."""
    chat = access.chat_of(call)
    user = call.world.users.get(call.arguments.integer("user_id"))
    if user is None or (chat.user is not None and user not in (chat.user, call.bot.user)):
        raise bad_request("PARTICIPANT_ID_INVALID")
    return shapes.member(user, "member")


async def leave_chat(call: Call) -> bool:
    """Take the bot out of a group or channel."""
    chat = access.chat_of(call)
    if chat.user is not None:
        raise bad_request("chat member status can't be changed in private chats")
    people.flag(call.cloud, chat, "not_member", value=True, bot=call.bot, actor=call.bot.user)
    return True
