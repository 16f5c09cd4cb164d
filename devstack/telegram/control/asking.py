"""What the control API's requests have in common: finding what they name, and saying what is wrong."""

from pydantic import BaseModel, ConfigDict

from devstack.telegram.cloud import Cloud
from devstack.telegram.world import Bot, Chat, User


class Asked(BaseModel):
    """A request's fields, from a JSON body, a form or the query string; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Asked):
    """A request without fields."""


class NotThere(Exception):
    """The request names something that does not exist."""


def bot_of(cloud: Cloud, bot_id: int | None) -> Bot:
    """Return that bot, or the first one where none is named; raises NotThere."""
    bots = cloud.world.bots
    bot = next(iter(bots.values()), None) if bot_id is None else bots.get(bot_id)
    if bot is None:
        raise NotThere(f"there is no bot {bot_id}" if bot_id else "there is no bot yet: POST /bots")
    return bot


def chat_of(cloud: Cloud, chat_id: int) -> Chat:
    """Return that chat; raises NotThere."""
    chat = cloud.world.chats.get(chat_id)
    if chat is None:
        raise NotThere(f"there is no chat {chat_id}")
    return chat


def user_of(cloud: Cloud, user_id: int | None, chat: Chat) -> User:
    """Return that user, or where none is named the one of a private chat, else the groups' admin."""
    if user_id is None:
        return chat.user or cloud.world.admin
    user = cloud.world.users.get(user_id)
    if user is None:
        raise NotThere(f"there is no user {user_id}")
    return user
