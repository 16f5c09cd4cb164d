"""What people do: write, press, block, remove a bot, upgrade a group; bots learn of it by updates."""

from dataclasses import dataclass
from typing import Any

from devstack.telegram import shapes
from devstack.telegram.cloud import Cloud
from devstack.telegram.updates import Update
from devstack.telegram.world import Bot, Chat, Flag, Message, User
from shared import markdown

# What a flag makes of the bot's membership, where bots are told of it.
_MEMBERSHIPS: dict[Flag, str] = {"user_blocked": "kicked", "kicked": "kicked", "not_member": "left"}


@dataclass(frozen=True)
class Press:
    """A press: what is pressed, by whom, and the callback data, which a dishonest client may make up.

    `message` is a number where the bot cannot see the message any more.
    """

    bot: Bot
    chat: Chat
    message: Message | int
    user: User
    data: str


def flag(
    cloud: Cloud, chat: Chat, name: Flag, *, value: bool, bot: Bot | None = None, actor: User | None = None
) -> None:
    """Set or clear an obstacle, for one bot or all; a bot whose membership changes gets my_chat_member."""
    told = [bot] if bot is not None else list(cloud.world.bots.values())
    changed = [each for each in told if chat.has(name, each.id) != value]
    chat.mark(name, value, None if bot is None else bot.id)
    if name not in _MEMBERSHIPS:
        return
    was, becomes = ("member", _MEMBERSHIPS[name]) if value else (_MEMBERSHIPS[name], "member")
    for each in changed:
        who = actor or chat.user or cloud.world.admin
        change = {
            "chat": shapes.chat(chat),
            "from": shapes.user(who),
            "date": int(cloud.clock.time()),
            "old_chat_member": shapes.member(each.user, was),
            "new_chat_member": shapes.member(each.user, becomes),
        }
        each.updates.add("my_chat_member", change, lane=f"chat {chat.id}", chat_id=chat.id)


def write(
    cloud: Cloud,
    chat: Chat,
    user: User,
    text: str,
    *,
    bot: Bot | None = None,
    edits: int | None = None,
    update_id: int | None = None,
) -> list[tuple[Bot, Message, Update | None]]:
    """Let a user write (or edit) a message, in private to one bot, elsewhere seen by all bots there.

    Whoever writes to a bot has started it and does not block it. Raises ValueError where there is no bot
    to see it, or no such message to edit.
    """
    bots = _seen_by(cloud, chat, bot)
    if chat.user is not None:
        flag(cloud, chat, "user_blocked", value=False, bot=bots[0])
        flag(cloud, chat, "never_started", value=False, bot=bots[0])
    seen = []
    message: Message | None = None
    for each in bots:
        if message is None or not chat.numbers_itself:
            message = (
                _rewritten(cloud, chat, each, edits, text)
                if edits
                else _written(cloud, chat, each, user, text)
            )
        kind = ("edited_" if edits else "") + ("channel_post" if chat.type == "channel" else "message")
        update = _tell(cloud, each, kind, message, update_id)
        seen.append((each, message, update))
    return seen


def _seen_by(cloud: Cloud, chat: Chat, bot: Bot | None) -> list[Bot]:
    bots = list(cloud.world.bots.values() if chat.user is not None else cloud.world.members(chat))
    if bot is not None:
        bots = [each for each in bots if each is bot]
    if not bots:
        raise ValueError("no bot is there to see it")
    return bots[:1] if chat.user is not None else bots


def _written(cloud: Cloud, chat: Chat, bot: Bot, user: User, text: str) -> Message:
    now, entities = cloud.clock.time(), markdown.detect(text)
    return cloud.world.write(chat, bot, now, sender=user, text=text, entities=entities)


def _rewritten(cloud: Cloud, chat: Chat, bot: Bot, number: int, text: str) -> Message:
    message = cloud.world.message(chat, bot.id, number)
    if message is None or message.bot_id is not None:
        raise ValueError(f"nobody but a bot wrote message {number} in chat {chat.id}")
    message.text, message.entities = text, markdown.detect(text)
    message.edit_date = int(cloud.clock.time())
    return message


def _tell(cloud: Cloud, bot: Bot, kind: str, message: Message, update_id: int | None) -> Update | None:
    chat_id = message.chat.id
    shape = shapes.message(message, cloud.world)
    return bot.updates.add(kind, shape, lane=f"chat {chat_id}", chat_id=chat_id, update_id=update_id)


def press(cloud: Cloud, pressed: Press, *, copies: int = 1) -> tuple[str, Update | None]:
    """Press a callback button; return the query's id and its update, None where the bot wants none."""
    chat, message = pressed.chat, pressed.message
    shown = (
        shapes.inaccessible(chat, message)
        if isinstance(message, int)
        else shapes.message(message, cloud.world)
    )
    query_id = cloud.open_press(pressed.bot)
    query: dict[str, Any] = {
        "id": query_id,
        "from": shapes.user(pressed.user),
        "message": shown,
        "chat_instance": str(chat.id * 7919 + pressed.bot.id),
        "data": pressed.data,
    }
    lane = f"user {pressed.user.id}"
    return query_id, pressed.bot.updates.add(
        "callback_query", query, lane=lane, chat_id=chat.id, copies=copies
    )


def migrate(cloud: Cloud, chat: Chat, new_id: int | None = None) -> Chat:
    """Upgrade a basic group to a supergroup and return that; raises ValueError for other chats."""
    world = cloud.world
    if chat.type != "group" or chat.migrated_to is not None:
        raise ValueError("only a basic group can become a supergroup, and only once")
    number = new_id or world.new_chat_id("supergroup")
    if number in world.chats:
        raise ValueError(f"chat {number} exists already")
    bots = list(world.members(chat))
    upgraded = Chat(number, "supergroup", chat.title, flags=set(chat.flags))
    world.chats[number] = upgraded
    chat.migrated_to = number
    for here, service in (
        (chat, {"migrate_to_chat_id": number}),
        (upgraded, {"migrate_from_chat_id": chat.id}),
    ):
        message = None
        for bot in bots:
            if message is None or not here.numbers_itself:
                message = world.write(here, bot, cloud.clock.time(), sender=world.admin, more=dict(service))
            _tell(cloud, bot, "message", message, None)
    return upgraded
