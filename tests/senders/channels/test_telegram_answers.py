"""Telegram's answers, row by row: what each means for a delivery."""

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from devstack.telegram import Rules, Telegram, people
from devstack.telegram.world import Bot as Account
from devstack.telegram.world import Chat, User
from services.senders.channels.telegram import TelegramChannel
from services.senders.domain.sending import (
    Ambiguous,
    Answer,
    EmailTarget,
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
from shared.events import Button
from tests.senders.channels.conftest import HASTE, PATIENCE

TOKEN = "123456:ABC-def_1234567890"
BOTS = {"default": Bot("default", SecretStr(TOKEN))}
PRIVATE, GROUP, SUPERGROUP, CHANNEL = 42, -500, -(10**12) - 5, -(10**12) - 6


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    """Open a simulated Telegram with a chat of each kind."""
    async with Telegram.open(rules=Rules(enabled=False)) as opened:
        opened.cloud.add_bot(TOKEN, "carillon_bot")
        world = opened.cloud.world
        world.chats[PRIVATE] = Chat(
            PRIVATE, "private", user=world.users.setdefault(PRIVATE, User(PRIVATE, "Ann"))
        )
        world.chats[GROUP] = Chat(GROUP, "group", "Traders")
        world.chats[SUPERGROUP] = Chat(SUPERGROUP, "supergroup", "More traders")
        world.chats[CHANNEL] = Chat(CHANNEL, "channel", "News")
        yield opened


@pytest.fixture
async def channel(telegram: Telegram) -> AsyncIterator[TelegramChannel]:
    """Open the channel."""
    async with TelegramChannel.open(BOTS, telegram.api_url, seconds=PATIENCE) as opened:
        yield opened


@pytest.fixture
def post(outgoing: Callable[..., Outgoing]) -> Callable[..., Outgoing]:
    """Return a maker of attempts: the chat, and what the content says."""

    def make(chat_id: int = PRIVATE, bot: str | None = "default", **content: Any) -> Outgoing:
        said = TelegramContent(**{"text": "Hello", **content})
        return outgoing(bot=bot, to=TelegramTarget(chat_id), content=said)

    return make


@pytest.mark.parametrize(
    ("chat_id", "flag", "expected"),
    [
        (PRIVATE, "user_blocked", Refused("blocked", suppresses=True)),
        (PRIVATE, "user_deactivated", Refused("deactivated", suppresses=True)),
        (PRIVATE, "never_started", Refused("rejected")),
        (GROUP, "kicked", Refused("kicked", suppresses=True)),
        (SUPERGROUP, "kicked", Refused("kicked", suppresses=True)),
        (CHANNEL, "kicked", Refused("kicked", suppresses=True)),
        (SUPERGROUP, "not_member", Refused("kicked", suppresses=True)),
        (SUPERGROUP, "restricted", Refused("rejected")),
        (CHANNEL, "no_post_right", Refused("rejected")),
        (GROUP, "deleted", Refused("chat_not_found")),
    ],
)
async def test_obstacles_are_permanent(
    telegram: Telegram, channel: TelegramChannel, post: Any, chat_id: int, flag: Any, expected: Answer
) -> None:
    """What stands between bot and chat refuses for good; what the chat's owner says suppresses the chat."""
    people.flag(telegram.cloud, telegram.cloud.world.chats[chat_id], flag, value=True)
    assert await channel.send(post(chat_id)) == expected


@pytest.mark.parametrize(
    ("fault", "fields", "expected"),
    [
        ("retry_after", {"seconds": 7}, Later(7.0, "throttled")),
        ("revoked", {}, Stopped("unauthorized")),
        ("not_found", {}, Stopped("not_found")),
        ("status_before", {"status": 500}, Ambiguous("server_error")),
        ("status_after", {"status": 504}, Ambiguous("server_error")),
        ("reset_before", {}, Ambiguous("connection_lost")),
        ("reset_after", {}, Ambiguous("connection_lost")),
        ("slow", {"seconds": 60}, Ambiguous("timeout")),
        ("late_success", {"seconds": 60}, Ambiguous("timeout")),
    ],
)
async def test_trouble_is_told_apart(
    telegram: Telegram, channel: TelegramChannel, post: Any, fault: Any, fields: Any, expected: Answer
) -> None:
    """Throttling waits, a refused token stops, and whatever leaves the effect unknown is in doubt."""
    telegram.cloud.faults.add(fault, method="sendMessage", **fields)
    seconds = HASTE if expected == Ambiguous("timeout") else PATIENCE
    async with TelegramChannel.open(BOTS, telegram.api_url, seconds=seconds) as first:
        assert await first.send(post()) == expected
    assert isinstance(await channel.send(post()), Sent)


@pytest.mark.parametrize("fault", ["html_502", "html_502_after"])
async def test_a_page_instead_of_an_answer_is_a_doubt(
    telegram: Telegram, channel: TelegramChannel, post: Any, fault: Any
) -> None:
    """A proxy's 502 page says nothing about the effect."""
    telegram.cloud.faults.add(fault, method="sendMessage")
    assert isinstance(await channel.send(post()), Ambiguous)


async def test_a_flood_wait_that_is_hidden_is_waited_out(
    telegram: Telegram, channel: TelegramChannel, post: Any
) -> None:
    """An answer that comes late but in time counts."""
    telegram.cloud.faults.add("hidden_wait", method="sendMessage", seconds=0.2)
    assert isinstance(await channel.send(post()), Sent)


async def test_an_upgraded_group_is_migrated(telegram: Telegram, channel: TelegramChannel, post: Any) -> None:
    """A group that became a supergroup names its new id."""
    upgraded = people.migrate(telegram.cloud, telegram.cloud.world.chats[GROUP])
    assert await channel.send(post(GROUP)) == Migrated(upgraded.id)


async def test_nobody_there_means_nothing_happened(post: Any) -> None:
    """A connection that cannot be made leaves the delivery to be tried again."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with TelegramChannel.open(BOTS, url, seconds=PATIENCE) as channel:
            assert await channel.send(post()) == Later(None, "down")


@pytest.mark.parametrize(
    ("chat_id", "content", "expected"),
    [
        (4711, {}, Refused("chat_not_found")),
        (PRIVATE, {"text": "*open", "parse_mode": "MarkdownV2"}, Refused("invalid")),
        (PRIVATE, {"text": "x" * 4097}, Refused("invalid")),
        (PRIVATE, {"buttons": ((Button(text="B", data="d" * 65),),)}, Refused("invalid")),
        (PRIVATE, {"edit": 999_999_999}, Refused("invalid")),
    ],
    ids=["unknown_chat", "markdown", "too_long", "button", "edit"],
)
async def test_what_telegram_refuses_is_refused(
    channel: TelegramChannel, post: Any, chat_id: int, content: Any, expected: Answer
) -> None:
    """A call that Telegram finds wrong fails, and suppresses nobody."""
    assert await channel.send(post(chat_id, **content)) == expected


async def test_an_edit_that_changes_nothing_is_sent(channel: TelegramChannel, post: Any) -> None:
    """`message is not modified` means that the message already says what it should."""
    sent = await channel.send(post())
    assert isinstance(sent, Sent)
    number = int(sent.provider_message_id)
    assert await channel.send(post(text="Goodbye", edit=number)) == sent
    assert await channel.send(post(text="Goodbye", edit=number)) == sent


async def test_what_is_said_arrives(telegram: Telegram, channel: TelegramChannel, post: Any) -> None:
    """Plain text stays as it is, MarkdownV2 is formatted, buttons hang below, a lost reply is no obstacle."""
    await channel.send(post(text="2 * 3 * 4 = 24."))
    keyboard = ((Button(text="Go", data="p1.x.y"), Button(text="Read", url="https://example.org/")),)
    await channel.send(post(text="*bold*", parse_mode="MarkdownV2", buttons=keyboard, reply_to=999_999))
    plain, rich = (sent for _, sent in telegram.cloud.records.sent.since(0))
    assert (plain.text, plain.entities, plain.reply_markup) == ("2 * 3 * 4 = 24.", (), None)
    assert (rich.text, len(rich.entities)) == ("bold", 1)
    assert rich.reply_markup is not None
    assert [button["text"] for button in rich.reply_markup["inline_keyboard"][0]] == ["Go", "Read"]


async def test_an_unknown_bot_or_a_foreign_address_calls_nobody(
    telegram: Telegram, channel: TelegramChannel, post: Any, outgoing: Any
) -> None:
    """What cannot be for this channel is invalid, without a call."""
    assert await channel.send(post(bot="stranger")) == Refused("invalid")
    assert await channel.send(post(bot=None)) == Refused("invalid")
    foreign = outgoing(bot="default", to=EmailTarget("a@example.org"), content=TelegramContent("x"))
    assert await channel.send(foreign) == Refused("invalid")
    assert telegram.cloud.records.calls.total == 0


async def test_a_revoked_token_stops_and_its_return_heals(
    telegram: Telegram, channel: TelegramChannel, post: Any
) -> None:
    """While the token is revoked every send stops; afterwards the same channel sends again."""
    account: Account = telegram.cloud.world.bots[123456]
    account.revoked = True
    assert await channel.send(post()) == Stopped("unauthorized")
    account.revoked = False
    assert isinstance(await channel.send(post()), Sent)
