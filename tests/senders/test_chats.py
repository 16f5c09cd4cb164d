"""Chats by their names: senders asks Telegram, and answers in its words."""

import pytest

from services.senders import api
from shared.bus import Refusal
from shared.events import Channel
from shared.queries import ResolveChat
from tests.senders.conftest import House

NEWS = -1001999999999


async def resolve(house: House, chat: str, bot: str | None = None) -> tuple[int, str]:
    """Return id and type of the chat of that name, or status and detail of the refusal."""
    query = ResolveChat(bot=bot, chat=chat)
    try:
        found = await api.resolve_chat(query, house.senders.get(Channel.TELEGRAM), "default")
    except Refusal as refusal:
        return refusal.status, refusal.detail
    return found.chat_id, found.type


async def test_a_chat_is_found_by_its_name(house: House) -> None:
    """Names are found in any case; a name that no chat has and a bot that we have not are refused."""
    house.chat(NEWS).username = "carillon_news"
    assert await resolve(house, "@Carillon_News") == (NEWS, "supergroup")
    assert await resolve(house, "@nobody_has_this") == (
        404, "@nobody_has_this: Bad Request: chat not found",
    )  # fmt: skip
    assert (await resolve(house, "@carillon_news", bot="other"))[0] == 422


async def test_who_cannot_ask_says_so(house: House) -> None:
    """Without a bot, or while Telegram does not answer, nothing is known: that is no "not found"."""
    house.senders.pop(Channel.TELEGRAM)
    assert (await resolve(house, "@carillon_news"))[0] == 503


@pytest.mark.parametrize("name", ["news", "@", "@a b", "@x/../y", "@ä"])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    """A question is about an @name, and nothing else reaches Telegram's address."""
    with pytest.raises(ValueError, match="chat"):
        ResolveChat(chat=name)
