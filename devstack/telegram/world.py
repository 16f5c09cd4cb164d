"""Who and what exists: bots, users, chats, messages, and what stands between a bot and a chat."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from devstack.telegram.updates import Polling, UpdateQueue
from devstack.telegram.webhook import Webhook
from shared.markdown import Entity

ChatType = Literal["private", "group", "supergroup", "channel"]
Flag = Literal[
    "user_blocked",
    "user_deactivated",
    "never_started",
    "kicked",
    "not_member",
    "restricted",
    "no_post_right",
    "deleted",
]
FLAGS: tuple[Flag, ...] = get_args(Flag)


@dataclass(slots=True)
class User:
    """A person, or a bot as others see it."""

    id: int
    first_name: str
    username: str | None = None
    language_code: str | None = None
    last_name: str | None = None
    is_bot: bool = False


@dataclass(eq=False)
class Bot:
    """A bot account: its identity, its updates, its settings and its open button presses.

    `presses` holds callback query ids with the monotonic time when their deadline ends.
    """

    token: str = field(repr=False)
    user: User
    updates: UpdateQueue
    polling: Polling
    next_message_id: int
    revoked: bool = False
    webhook: Webhook | None = None
    webhook_set_at: float = -1e9
    commands: dict[tuple[str, str], list[dict[str, str]]] = field(default_factory=dict)
    presses: OrderedDict[str, float] = field(default_factory=OrderedDict)

    @property
    def id(self) -> int:
        """The number before the colon of its token."""
        return self.user.id


@dataclass(slots=True, eq=False)
class Message:
    """A message of a chat, as one bot account sees it; `bot_id` is set when that bot wrote it."""

    chat: "Chat"
    id: int
    date: int
    sender: User | None = None
    bot_id: int | None = None
    text: str | None = None
    entities: tuple[Entity, ...] = ()
    reply_markup: dict[str, Any] | None = None
    edit_date: int | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Chat:
    """A chat and what stands between it and a bot.

    `flags` pairs a flag with the bot it holds for, None meaning every bot. Message numbers count per
    account in private chats and basic groups, per chat elsewhere: hence the key (bot or 0, number).
    """

    id: int
    type: ChatType
    title: str | None = None
    username: str | None = None
    user: User | None = None
    migrated_to: int | None = None
    flags: set[tuple[Flag, int | None]] = field(default_factory=set)
    messages: OrderedDict[tuple[int, int], Message] = field(default_factory=OrderedDict)
    next_message_id: int = 1

    def has(self, flag: Flag, bot_id: int) -> bool:
        """Return whether the flag stands between this chat and that bot."""
        return (flag, None) in self.flags or (flag, bot_id) in self.flags

    def mark(self, flag: Flag, value: bool, bot_id: int | None) -> None:
        """Set or clear a flag, for one bot or for all."""
        if value:
            self.flags.add((flag, bot_id))
        else:
            cleared = {each for each in self.flags if each[0] == flag and bot_id in (None, each[1])}
            self.flags -= cleared | {(flag, None)}

    @property
    def numbers_itself(self) -> bool:
        """Whether messages are numbered by the chat rather than by the account."""
        return self.type in ("supergroup", "channel")


class World:
    """Everything that exists, bounded: of more than `keep` messages the oldest are forgotten."""

    def __init__(self, *, keep: int) -> None:
        self.bots: dict[int, Bot] = {}
        self.users: dict[int, User] = {}
        self.chats: dict[int, Chat] = {}
        self.admin = User(90_000_001, "Ada", username="ada_admin", language_code="en")
        self.users[self.admin.id] = self.admin
        self._order: deque[tuple[Chat, tuple[int, int]]] = deque()
        self._keep = keep
        self._next_user = 100_000_001
        self._next_chat = 4_000_000_001

    def bot_of_token(self, token: str) -> Bot | None:
        """Return the bot with exactly this token, if it is not revoked."""
        digits = token.partition(":")[0]
        bot = self.bots.get(int(digits)) if digits.isascii() and digits.isdigit() else None
        return bot if bot is not None and bot.token == token and not bot.revoked else None

    def new_user_id(self) -> int:
        """Return a number that no user has."""
        while self._next_user in self.users:
            self._next_user += 1
        return self._next_user

    def new_chat_id(self, kind: ChatType) -> int:
        """Return a number of the range of that type of chat, not used yet."""
        self._next_chat += 1
        if kind in ("supergroup", "channel"):
            return -(1_000_000_000_000 + self._next_chat)
        return -self._next_chat

    def chat_named(self, name: str) -> Chat | None:
        """Return the public group or channel of that name (with or without @), in any case."""
        wanted = name.removeprefix("@").lower()
        for chat in self.chats.values():
            if chat.user is None and chat.username is not None and chat.username.lower() == wanted:
                return chat
        return None

    def members(self, chat: Chat) -> Iterator[Bot]:
        """Yield the bots that are in a group or channel."""
        for bot in self.bots.values():
            if not any(chat.has(flag, bot.id) for flag in ("kicked", "not_member", "deleted")):
                yield bot

    def write(
        self,
        chat: Chat,
        bot: Bot | None,
        date: float,
        *,
        sender: User,
        bot_id: int | None = None,
        text: str | None = None,
        entities: tuple[Entity, ...] = (),
        reply_markup: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
    ) -> Message:
        """Add a message to a chat under its next number and return it."""
        owner = 0 if chat.numbers_itself or bot is None else bot.id
        if owner and bot is not None:
            number, bot.next_message_id = bot.next_message_id, bot.next_message_id + 1
        else:
            number, chat.next_message_id = chat.next_message_id, chat.next_message_id + 1
        message = Message(
            chat, number, int(date), sender, bot_id, text, entities, reply_markup, more=more or {}
        )
        chat.messages[owner, number] = message
        self._order.append((chat, (owner, number)))
        if len(self._order) > self._keep:
            oldest, key = self._order.popleft()
            oldest.messages.pop(key, None)
        return message

    def message(self, chat: Chat, bot_id: int, number: int) -> Message | None:
        """Return a message by its number, as that bot sees it."""
        return chat.messages.get((0 if chat.numbers_itself else bot_id, number))

    def erase(self, message: Message, bot_id: int) -> None:
        """Delete a message from its chat."""
        chat = message.chat
        chat.messages.pop((0 if chat.numbers_itself else bot_id, message.id), None)
