"""sendMessage: what it returns, what it refuses, in which order."""

from typing import Any

import pytest


async def test_message_has_what_clients_need(street: Any) -> None:
    """A sent message shows number, bot, chat, integer date, text, entities and the inline keyboard."""
    markup = {"inline_keyboard": [[{"text": "Site", "url": "example.com"}]]}
    sent = await street.result(
        "sendMessage", chat_id=42, text="*Hi* _there_", parse_mode="markdownv2", reply_markup=markup
    )
    assert sent["from"]["id"] == 123456
    assert sent["chat"] == {"id": 42, "first_name": "Ann", "type": "private"}
    assert isinstance(sent["date"], int)
    assert sent["text"] == "Hi there"
    assert [(e["type"], e["offset"], e["length"]) for e in sent["entities"]] == [
        ("bold", 0, 2),
        ("italic", 3, 5),
    ]
    assert sent["reply_markup"]["inline_keyboard"][0][0]["url"] == "http://example.com/"


async def test_reply_keyboards_are_taken_but_not_shown(street: Any) -> None:
    """Only inline keyboards come back in a message."""
    sent = await street.result("sendMessage", chat_id=42, text="x", reply_markup={"force_reply": True})
    assert "reply_markup" not in sent
    assert "entities" not in sent


async def test_length_counts_code_points_and_offsets_utf16(street: Any) -> None:
    """4096 emoji fit though they are 8192 UTF-16 units; entity offsets count UTF-16 units."""
    assert len((await street.result("sendMessage", chat_id=42, text="😀" * 4096))["text"]) == 4096
    told = await street.refusal("sendMessage", chat_id=42, text="😀" * 4097)
    assert told == (400, "Bad Request: message is too long")
    sent = await street.result("sendMessage", chat_id=42, text="😀*b*", parse_mode="MarkdownV2")
    assert sent["entities"] == [{"type": "bold", "offset": 2, "length": 1}]


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({}, "message text is empty"),
        ({"text": "x" * 32769}, "text is too long"),
        ({"text": " \n "}, "text must be non-empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": "x", "parse_mode": "Markdown3"}, "unsupported parse_mode"),
        (
            {"text": "a.b", "parse_mode": "MarkdownV2"},
            "can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'",
        ),
        (
            {"text": "é*b", "parse_mode": "MarkdownV2"},
            "can't parse entities: Can't find end of Bold entity at byte offset 2",
        ),
        (
            {"text": "<b>x", "parse_mode": "HTML"},
            'can\'t parse entities: Can\'t find end tag corresponding to start tag "b"',
        ),
        ({"text": "x", "reply_markup": "{"}, "can't parse reply keyboard markup JSON object"),
        ({"text": "x", "reply_markup": "[]"}, "object expected as reply markup"),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"callback_data": "x"}]]}},
            'can\'t parse inline keyboard button: Can\'t find field "text"',
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x"}]]}},
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": "é" * 33}]]}},
            "BUTTON_DATA_INVALID",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x", "url": "ftp://a.b"}]]}},
            "inline keyboard button URL 'ftp://a.b' is invalid: Unsupported URL protocol",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x", "url": "http://localhost/"}]]}},
            "inline keyboard button URL 'http://localhost/' is invalid: Wrong HTTP URL",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": "y"}]] * 101}},
            "reply markup is too long",
        ),
        ({"text": "x", "chat_id": ""}, "chat_id is empty"),
        ({"text": "x", "chat_id": 77}, "chat not found"),
        ({"text": "x", "chat_id": "@nobody"}, "chat not found"),
        ({"text": "x", "chat_id": "forty"}, "chat not found"),
        ({"text": "x", "reply_parameters": {"message_id": 1}}, "message to be replied not found"),
        ({"text": "x", "message_thread_id": 7}, "message thread not found"),
        ({"text": "x", "entities": [{"type": "bold", "offset": 0, "length": 2}]}, "ENTITY_BOUNDS_INVALID"),
        (
            {"text": "x", "entities": [{"type": "odd", "offset": 0, "length": 1}]},
            "can't parse MessageEntity: Unsupported type specified",
        ),
    ],
)  # fmt: skip
async def test_bad_message_is_refused_in_telegrams_words(
    street: Any, fields: dict[str, Any], description: str
) -> None:
    """Every fault of a message has Telegram's own description, and nothing is sent."""
    told = await street.refusal("sendMessage", **{"chat_id": 42, **fields})
    assert told == (400, f"Bad Request: {description}")
    assert (await street.control("GET", "/sent"))["sent"] == []


async def test_markup_is_judged_before_the_chat_and_length_after(street: Any) -> None:
    """Bad markup is reported even for an unknown chat, a text too long only once the chat is known."""
    _, told = await street.refusal("sendMessage", chat_id=77, text="a.b", parse_mode="MarkdownV2")
    assert "can't parse entities" in told
    _, told = await street.refusal("sendMessage", chat_id=77, text="x" * 5000)
    assert told == "Bad Request: chat not found"
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    _, told = await street.refusal("sendMessage", chat_id=42, text="x" * 5000)
    assert told == "Bad Request: message is too long"


@pytest.mark.parametrize(
    ("kind", "flag", "code", "description"),
    [
        ("private", "user_blocked", 403, "Forbidden: bot was blocked by the user"),
        ("private", "user_deactivated", 403, "Forbidden: user is deactivated"),
        ("private", "never_started", 403, "Forbidden: bot can't initiate conversation with a user"),
        ("group", "kicked", 403, "Forbidden: bot was kicked from the group chat"),
        ("supergroup", "kicked", 403, "Forbidden: bot was kicked from the supergroup chat"),
        ("channel", "kicked", 403, "Forbidden: bot was kicked from the channel chat"),
        ("group", "not_member", 403, "Forbidden: bot is not a member of the group chat"),
        ("supergroup", "not_member", 403, "Forbidden: bot is not a member of the supergroup chat"),
        ("channel", "not_member", 403, "Forbidden: bot is not a member of the channel chat"),
        ("group", "deleted", 403, "Forbidden: the group chat was deleted"),
        ("supergroup", "restricted", 400, "Bad Request: not enough rights to send text messages to the chat"),
        ("supergroup", "no_post_right", 400, "Bad Request: have no write access to the chat"),
        ("channel", "no_post_right", 400, "Bad Request: need administrator rights in the channel chat"),
    ],
)
async def test_each_obstacle_is_its_row_of_the_error_table(
    street: Any, kind: str, flag: str, code: int, description: str
) -> None:
    """A flag on a chat refuses sends with exactly its code and words, and clearing it lets them pass."""
    chat_id = await street.chat(kind)
    await street.control("POST", f"/chats/{chat_id}/flags", **{flag: True})
    assert await street.refusal("sendMessage", chat_id=chat_id, text="x") == (code, description)
    await street.control("POST", f"/chats/{chat_id}/flags", **{flag: False})
    await street.result("sendMessage", chat_id=chat_id, text="x")


async def test_bots_cannot_write_to_bots(street: Any) -> None:
    """Another bot, and the bot itself, are no addressees."""
    await street.control("POST", "/bots", token="777:x", username="other_bot")
    told = await street.refusal("sendMessage", chat_id=777, text="x")
    assert told == (403, "Forbidden: bot can't send messages to bots")
    told = await street.refusal("sendMessage", chat_id=123456, text="x")
    assert told == (403, "Forbidden: the bot can't send messages to the bot")


async def test_channel_is_found_by_name_and_signs_as_itself(street: Any) -> None:
    """A public channel answers to @name in any case, and its posts come from the channel."""
    chat_id = await street.chat("channel", title="News", username="carillon_news")
    sent = await street.result("sendMessage", chat_id="@Carillon_News", text="x")
    assert (sent["chat"]["id"], sent["sender_chat"]["id"]) == (chat_id, chat_id)
    assert "from" not in sent


async def test_numbers_count_per_account_or_per_chat(street: Any) -> None:
    """Private chats and groups share the bot's counter; a supergroup counts for itself."""
    group, supergroup = await street.chat("group"), await street.chat("supergroup")
    in_group = await street.post(group)
    in_private = await street.post(42)
    in_supergroup = [await street.post(supergroup) for _ in range(2)]
    assert in_private == in_group + 1
    assert in_supergroup[1] == in_supergroup[0] + 1


async def test_reply_shows_its_original(street: Any) -> None:
    """A reply carries the message it answers, and may ask to be sent without."""
    number = await street.post()
    sent = await street.result("sendMessage", chat_id=42, text="re", reply_parameters={"message_id": number})
    assert sent["reply_to_message"]["message_id"] == number
    lacking = {"message_id": 1, "allow_sending_without_reply": True}
    assert "reply_to_message" not in await street.result(
        "sendMessage", chat_id=42, text="re", reply_parameters=lacking
    )


async def test_given_entities_count_only_without_parse_mode(street: Any) -> None:
    """`entities` are ignored beside parse_mode, and types that Telegram detects are ignored in them."""
    bold = {"type": "bold", "offset": 0, "length": 2}
    mention = {"type": "text_mention", "offset": 3, "length": 1, "user": {"id": 42}}
    url = {"type": "url", "offset": 0, "length": 1}
    sent = await street.result("sendMessage", chat_id=42, text="ab c", entities=[bold, mention, url])
    assert sent["entities"][0] == bold
    assert sent["entities"][1]["user"] == {
        "id": 42,
        "is_bot": False,
        "first_name": "Ann",
        "language_code": "en",
    }
    sent = await street.result(
        "sendMessage", chat_id=42, text="_ab_", parse_mode="MarkdownV2", entities=[bold]
    )
    assert [e["type"] for e in sent["entities"]] == ["italic"]


async def test_at_most_a_hundred_entities_are_kept(street: Any) -> None:
    """Of more than a hundred entities the first hundred stay."""
    text = " ".join(["*b*"] * 120)
    sent = await street.result("sendMessage", chat_id=42, text=text, parse_mode="MarkdownV2")
    assert len(sent["entities"]) == 100
