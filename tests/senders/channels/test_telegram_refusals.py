"""Every way in which Telegram says no, over the wire, and what it means for a delivery."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from devstack.telegram import Rules, Telegram
from devstack.telegram.world import Chat, User
from services.senders.channels.telegram import TelegramChannel
from services.senders.domain.sending import (
    Ambiguous,
    Answer,
    Later,
    Migrated,
    Outgoing,
    Refused,
    Sent,
    Stopped,
    TelegramContent,
    TelegramTarget,
)
from shared.bots import Bot

TOKENS = {"default": "123456:ABC-def_1234567890", "other": "654321:ABC-def_0987654321"}
BOTS = {name: Bot(name, SecretStr(token)) for name, token in TOKENS.items()}
CHAT, EDITED = 42, 7

BLOCKED, KICKED = Refused("blocked", suppresses=True), Refused("kicked", suppresses=True)
NOBODY, INVALID, REJECTED = Refused("chat_not_found"), Refused("invalid"), Refused("rejected")
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a "
    "current content and reply markup of the message"
)

REFUSALS: list[tuple[int, str, Answer]] = [
    (403, "Forbidden: bot was blocked by the user", BLOCKED),
    (403, "Forbidden: user is deactivated", Refused("deactivated", suppresses=True)),
    (403, "Forbidden: bot can't initiate conversation with a user", REJECTED),
    (403, "Forbidden: bot can't send messages to bots", INVALID),
    (403, "Forbidden: the bot can't send messages to the bot", INVALID),
    (400, "Bad Request: chat not found", NOBODY),
    (400, "Bad Request: chat_id is empty", INVALID),
    (400, "Bad Request: PEER_ID_INVALID", NOBODY),
    (403, "Forbidden: bot was kicked from the group chat", KICKED),
    (403, "Forbidden: bot was kicked from the supergroup chat", KICKED),
    (403, "Forbidden: bot was kicked from the channel chat", KICKED),
    (403, "Forbidden: bot is not a member of the group chat", KICKED),
    (403, "Forbidden: bot is not a member of the supergroup chat", KICKED),
    (403, "Forbidden: bot is not a member of the channel chat", KICKED),
    (403, "Forbidden: the group chat was deleted", NOBODY),
    (403, "Forbidden: a word that nobody knows yet", REJECTED),
    (400, "Bad Request: need administrator rights in the channel chat", REJECTED),
    (400, "Bad Request: have no write access to the chat", REJECTED),
    (400, "Bad Request: not enough rights to send text messages to the chat", REJECTED),
    (400, "Bad Request: CHAT_WRITE_FORBIDDEN", REJECTED),
    (400, "Bad Request: CHAT_RESTRICTED", REJECTED),
    (400, "Bad Request: USER_BANNED_IN_CHANNEL", REJECTED),
    (400, "Bad Request: TOPIC_CLOSED", REJECTED),
    (400, "Bad Request: message thread not found", INVALID),
    (400, "Bad Request: message to be replied not found", INVALID),
    (400, "Bad Request: message text is empty", INVALID),
    (400, "Bad Request: text must be non-empty", INVALID),
    (400, "Bad Request: message is too long", INVALID),
    (400, "Bad Request: MESSAGE_TOO_LONG", INVALID),
    (400, "Bad Request: text is too long", INVALID),
    (400, "Bad Request: can't parse entities: Can't find end of Bold entity at byte offset 0", INVALID),
    (400, "Bad Request: unsupported parse_mode", INVALID),
    (400, "Bad Request: ENTITIES_TOO_LONG", INVALID),
    (400, "Bad Request: ENTITY_BOUNDS_INVALID", INVALID),
    (400, "Bad Request: BUTTON_DATA_INVALID", INVALID),
    (400, "Bad Request: BUTTON_URL_INVALID", INVALID),
    (400, "Bad Request: BUTTON_TYPE_INVALID", INVALID),
    (400, "Bad Request: BUTTON_USER_PRIVACY_RESTRICTED", INVALID),
    (400, "Bad Request: reply markup is too long", INVALID),
    (400, "Bad Request: can't parse reply keyboard markup JSON object", INVALID),
    (400, "Bad Request: object expected as reply markup", INVALID),
    (401, "Unauthorized", Stopped("unauthorized")),
    (401, "Unauthorized: invalid token specified", Stopped("unauthorized")),
    (404, "Not Found", Stopped("not_found")),
    (404, "Not Found: method not found", INVALID),
    (409, "Conflict: terminated by other getUpdates request", INVALID),
    (413, "Request Entity Too Large", INVALID),
    (421, "Misdirected Request: unallowed token specified", Stopped("not_found")),
    (429, "Too Many Requests: retry after 7", Later(1.0, "throttled")),
    (500, "Internal Server Error", Ambiguous("server_error")),
    (502, "Bad Gateway", Ambiguous("server_error")),
    (504, "Gateway Timeout", Ambiguous("server_error")),
]
"""What sendMessage may be answered with, in the words of the Bot API; a 429 here has lost its parameters."""

EDIT_REFUSALS: list[tuple[int, str, Answer]] = [
    (400, f"Bad Request: {NOT_MODIFIED}", Sent(str(EDITED))),
    (400, "Bad Request: message to edit not found", INVALID),
    (400, "Bad Request: message can't be edited", INVALID),
    (400, "Bad Request: there is no text in the message to edit", INVALID),
    (400, "Bad Request: message identifier is not specified", INVALID),
    (400, "Bad Request: MESSAGE_TOO_LONG", INVALID),
]
PARAMETERS: list[tuple[int, str, dict[str, int], Answer]] = [
    (429, "Too Many Requests: retry after 7", {"retry_after": 7}, Later(7.0, "throttled")),
    (429, "Too Many Requests: retry after 3600", {"retry_after": 3600}, Later(3600.0, "throttled")),
    (
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        {"migrate_to_chat_id": -1001234567890},
        Migrated(-1001234567890),
    ),
]


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    """Open a simulated Telegram with two bots and a chat."""
    async with Telegram.open(rules=Rules(enabled=False)) as opened:
        for name, token in TOKENS.items():
            opened.cloud.add_bot(token, f"carillon_{name}_bot")
        world = opened.cloud.world
        world.chats[CHAT] = Chat(CHAT, "private", user=world.users.setdefault(CHAT, User(CHAT, "Ann")))
        yield opened


@pytest.fixture
async def channel(telegram: Telegram) -> AsyncIterator[TelegramChannel]:
    """Open the channel, as two bots."""
    async with TelegramChannel.open(BOTS, telegram.api_url, seconds=30) as opened:
        yield opened


@pytest.fixture
def post(outgoing: Any) -> Any:
    """Return a maker of attempts."""

    def make(bot: str = "default", **content: Any) -> Outgoing:
        said = TelegramContent(**{"text": "Hello", **content})
        made: Outgoing = outgoing(bot=bot, to=TelegramTarget(CHAT), content=said, delivery_id=uuid4())
        return made

    return make


async def answered(
    telegram: Telegram, channel: TelegramChannel, item: Outgoing, status: int, description: str,
    parameters: dict[str, int] | None = None,
) -> Answer:  # fmt: skip
    """Return what the channel makes of a refusal, and see that nothing was sent."""
    before = telegram.cloud.records.sent.total
    telegram.cloud.faults.add("refuse", status=status, description=description, parameters=parameters)
    answer = await channel.send(item)
    assert telegram.cloud.records.sent.total == before
    assert telegram.cloud.faults.in_force == []
    return answer


async def test_every_refusal_of_a_send_has_its_class(
    telegram: Telegram, channel: TelegramChannel, post: Any
) -> None:
    """Permanent ones fail, the owner's no suppresses, a token's stops the bot, a server's leaves a doubt."""
    found = [
        (status, description, await answered(telegram, channel, post(), status, description))
        for status, description, _ in REFUSALS
    ]
    assert found == REFUSALS


async def test_every_refusal_of_an_edit_has_its_class(
    telegram: Telegram, channel: TelegramChannel, post: Any
) -> None:
    """A message that says it already is as good as edited; one that cannot be edited fails."""
    item = post(edit=EDITED)
    found = [
        (status, description, await answered(telegram, channel, item, status, description))
        for status, description, _ in EDIT_REFUSALS
    ]
    assert found == EDIT_REFUSALS


async def test_parameters_say_how_long_and_where_to(
    telegram: Telegram, channel: TelegramChannel, post: Any
) -> None:
    """The wait is the one that was asked for, also a long one, and a migrated chat is followed."""
    for status, description, parameters, expected in PARAMETERS:
        assert await answered(telegram, channel, post(), status, description, parameters) == expected


async def test_one_bots_revoked_token_stops_no_other(
    telegram: Telegram, channel: TelegramChannel, post: Any
) -> None:
    """Several bots send over one channel; a token that is revoked concerns its own bot only."""
    telegram.cloud.world.bots[123456].revoked = True
    assert await channel.send(post()) == Stopped("unauthorized")
    assert isinstance(await channel.send(post("other")), Sent)
