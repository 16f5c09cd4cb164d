"""Control requests that make the world and change it: bots, users, chats, obstacles."""

from typing import Any

from pydantic import Field

from devstack.telegram import people, shapes
from devstack.telegram.cloud import Cloud
from devstack.telegram.control.asking import Asked, Nothing, bot_of, chat_of
from devstack.telegram.world import FLAGS, Bot, Chat, ChatType, Flag, User


class MakeBot(Asked):
    """A token and a name, as BotFather gives them."""

    token: str
    username: str
    first_name: str | None = None


class RevokeBot(Asked):
    """Whether the token is to be refused from now on."""

    revoked: bool = True


class MakeUser(Asked):
    """A person; the number is chosen where it is not given."""

    id: int | None = Field(None, gt=0)
    first_name: str = "Somebody"
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None


class MakeChat(Asked):
    """A chat; a private one is with `user_id` (or `id`), who comes into being where unknown."""

    type: ChatType
    id: int | None = None
    title: str | None = None
    username: str | None = None
    user_id: int | None = Field(None, gt=0)


class SetFlags(Asked):
    """Obstacles to set or clear, for one bot or all.

    `long_ago`: bots are not told, for Telegram keeps no update longer than a day.
    """

    long_ago: bool = False
    bot_id: int | None = None
    user_id: int | None = None
    user_blocked: bool | None = None
    user_deactivated: bool | None = None
    never_started: bool | None = None
    kicked: bool | None = None
    not_member: bool | None = None
    restricted: bool | None = None
    no_post_right: bool | None = None
    deleted: bool | None = None

    def chosen(self) -> dict[Flag, bool]:
        """Return the flags that the request names."""
        return {flag: value for flag in FLAGS if (value := getattr(self, flag)) is not None}


class Migrate(Asked):
    """The number of the supergroup to be; chosen where it is not given."""

    new_id: int | None = Field(None, lt=-1_000_000_000_000)


async def make_bot(cloud: Cloud, asked: MakeBot, _: int) -> dict[str, Any]:
    """Add a bot account; the same token again is the same bot."""
    bot = cloud.world.bot_of_token(asked.token)
    return _bot(bot or cloud.add_bot(asked.token, asked.username, asked.first_name))


async def list_bots(cloud: Cloud, _: Nothing, __: int) -> dict[str, Any]:
    """List the bots, their webhooks and how many updates wait; never their tokens."""
    return {"bots": [_bot(bot) for bot in cloud.world.bots.values()]}


async def revoke_bot(cloud: Cloud, asked: RevokeBot, bot_id: int) -> dict[str, Any]:
    """Revoke a bot's token (401 from then on), or give it back."""
    bot = bot_of(cloud, bot_id)
    bot.revoked = asked.revoked
    return _bot(bot)


async def make_user(cloud: Cloud, asked: MakeUser, _: int) -> dict[str, Any]:
    """Add a user, or change one."""
    number = asked.id or cloud.world.new_user_id()
    user = cloud.world.users.setdefault(number, User(number, asked.first_name))
    for name in asked.model_fields_set - {"id"}:
        setattr(user, name, getattr(asked, name))
    return shapes.user(user)


async def make_chat(cloud: Cloud, asked: MakeChat, _: int) -> dict[str, Any]:
    """Add a chat; the same number again is the same chat."""
    world = cloud.world
    if asked.type == "private":
        number = asked.user_id or asked.id or world.new_user_id()
        if number <= 0 or asked.id not in (None, number):
            raise ValueError("a private chat has the number of its user")
        user = world.users.setdefault(number, User(number, "Somebody"))
        chat = Chat(number, "private", username=user.username, user=user)
    else:
        chat = Chat(_number(cloud, asked), asked.type, asked.title or asked.type, asked.username)
    # As in a chat with a past: numbers of a simulator that was restarted are not those of its former life.
    chat.next_message_id = cloud.chance.randint(1, 1_000_000)
    return _chat(world.chats.setdefault(chat.id, chat))


def _number(cloud: Cloud, asked: MakeChat) -> int:
    number = asked.id or cloud.world.new_chat_id(asked.type)
    is_channel_like = number < -1_000_000_000_000
    if number >= 0 or is_channel_like != (asked.type in ("supergroup", "channel")):
        raise ValueError("groups have ids below 0; supergroups and channels below -1000000000000")
    return number


async def list_chats(cloud: Cloud, _: Nothing, __: int) -> dict[str, Any]:
    """List the chats."""
    return {"chats": [_chat(chat) for chat in cloud.world.chats.values()]}


async def show_chat(cloud: Cloud, _: Nothing, chat_id: int) -> dict[str, Any]:
    """Show a chat."""
    return _chat(chat_of(cloud, chat_id))


async def set_flags(cloud: Cloud, asked: SetFlags, chat_id: int) -> dict[str, Any]:
    """Set or clear obstacles; bots are told of blocks, kicks and joins (my_chat_member)."""
    chat = chat_of(cloud, chat_id)
    bot = None if asked.bot_id is None else bot_of(cloud, asked.bot_id)
    actor = None if asked.user_id is None else cloud.world.users.get(asked.user_id)
    for flag, value in asked.chosen().items():
        if asked.long_ago:
            chat.mark(flag, value, None if bot is None else bot.id)
        else:
            people.flag(cloud, chat, flag, value=value, bot=bot, actor=actor)
    return _chat(chat)


async def migrate(cloud: Cloud, asked: Migrate, chat_id: int) -> dict[str, Any]:
    """Upgrade a basic group; sends to the old number are told the new one."""
    return _chat(people.migrate(cloud, chat_of(cloud, chat_id), asked.new_id))


async def list_messages(cloud: Cloud, _: Nothing, chat_id: int) -> dict[str, Any]:
    """List a chat's messages, oldest first, as they are now."""
    messages = chat_of(cloud, chat_id).messages.values()
    return {"messages": [shapes.message(message, cloud.world) for message in messages]}


def _bot(bot: Bot) -> dict[str, Any]:
    webhook = bot.webhook
    return {
        "id": bot.id,
        "username": bot.user.username,
        "revoked": bot.revoked,
        "webhook_url": webhook.hook.url if webhook else None,
        "webhook_error": webhook.last_error[1] if webhook and webhook.last_error else None,
        "pending_updates": len(bot.updates.pending),
    }


def _chat(chat: Chat) -> dict[str, Any]:
    flags: dict[str, list[int] | bool] = {}
    for flag, bot_id in chat.flags:
        kept = flags.setdefault(flag, [])
        if bot_id is None or isinstance(kept, bool):
            flags[flag] = True
        else:
            kept.append(bot_id)
    return {
        **shapes.chat(chat),
        "flags": flags,
        "migrated_to": chat.migrated_to,
        "messages": len(chat.messages),
    }
