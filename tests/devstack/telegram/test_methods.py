"""The smaller methods, and the corners of the larger ones."""

import asyncio
import os
import signal
import sys
from typing import Any

import aiohttp
import pytest

from devstack.telegram import Conditions, Telegram


async def test_copies_and_forwards_carry_the_text(street: Any) -> None:
    """A copy has text and entities without origin, a forward names its origin."""
    group = await street.chat("group")
    number = await street.post(text="*Deal*", parse_mode="MarkdownV2")
    source = {"from_chat_id": 42, "message_id": number, "chat_id": group}
    copied = await street.result("copyMessage", **source)
    forwarded = await street.result("forwardMessage", **source)
    sent = (await street.control("GET", f"/sent?chat_id={group}"))["sent"]
    assert [each["message_id"] for each in sent] == [copied["message_id"], forwarded["message_id"]]
    assert all(each["text"] == "Deal" and each["entities"] for each in sent)
    assert forwarded["forward_origin"]["sender_user"]["id"] == 123456


async def test_preview_and_protection_come_back(street: Any) -> None:
    """What was asked for a message shows in it, the older name of an argument too."""
    options = {"is_disabled": True}
    for fields in ({"link_preview_options": options}, {"disable_web_page_preview": True}):
        sent = await street.result("sendMessage", chat_id=42, text="x", protect_content=True, **fields)
        assert sent["link_preview_options"] == options
        assert sent["has_protected_content"] is True


@pytest.mark.parametrize(
    ("method", "fields", "description"),
    [
        (
            "sendMessage",
            {"text": "x", "link_preview_options": "{"},
            "can't parse link preview options JSON object",
        ),
        (
            "sendMessage",
            {"text": "x", "link_preview_options": "[]"},
            "object expected as link preview options",
        ),
        ("sendMessage", {"text": "x", "reply_parameters": "1"}, "object expected as reply parameters"),
        ("sendMessage", {"text": "x", "entities": "{}"}, "expected an Array of MessageEntity"),
        ("sendMessage", {"text": "x", "entities": [1]}, "can't parse MessageEntity: expected an Object"),
        (
            "sendMessage",
            {"text": "x", "entities": [{"type": "bold"}]},
            "can't parse MessageEntity: Can't find field \"offset\"",
        ),
        (
            "sendMessage",
            {"text": "x", "reply_markup": {"inline_keyboard": 1}},
            'field "inline_keyboard" must be of type Array',
        ),
        (
            "sendMessage",
            {"text": "x", "reply_markup": {"inline_keyboard": [1]}},
            'field "inline_keyboard" must be an Array of Arrays',
        ),
        (
            "sendMessage",
            {"text": "x", "reply_markup": {"inline_keyboard": [[1]]}},
            "can't parse inline keyboard button: expected an Object",
        ),
        ("setMyCommands", {"commands": "{}"}, "expected an Array of BotCommand"),
        ("setMyCommands", {"commands": "["}, "can't parse commands JSON object"),
        ("getMyCommands", {"scope": {"type": "odd"}}, "unsupported type specified"),
        (
            "getMyCommands",
            {"scope": {"type": "chat"}},
            "can't parse BotCommandScope: Can't find field \"chat_id\"",
        ),
        ("getMyCommands", {"language_code": "English"}, "invalid language code specified"),
        ("sendChatAction", {}, "wrong parameter action in request"),
        ("getChatMember", {"user_id": 7}, "PARTICIPANT_ID_INVALID"),
        ("leaveChat", {}, "chat member status can't be changed in private chats"),
        ("copyMessage", {"from_chat_id": 42, "message_id": 1}, "message to copy not found"),
    ],
)
async def test_odd_arguments_are_refused(
    street: Any, method: str, fields: dict[str, Any], description: str
) -> None:
    """An argument of the wrong shape is a refusal, never a crash."""
    told = await street.refusal(method, **{"chat_id": 42, **fields})
    assert told == (400, f"Bad Request: {description}")


async def test_keyboards_are_cut_where_telegram_cuts_them(street: Any) -> None:
    """A button with an empty text is skipped, and of a row only twelve are kept."""
    button = {"text": "a", "callback_data": "b"}
    rows = [[{"text": "", "callback_data": "b"}], [button] * 14]
    sent = await street.result("sendMessage", chat_id=42, text="x", reply_markup={"inline_keyboard": rows})
    assert [len(row) for row in sent["reply_markup"]["inline_keyboard"]] == [12]


async def test_chats_and_members_are_shown(street: Any) -> None:
    """Chat actions and questions about chats are answered like by Telegram."""
    assert await street.result("sendChatAction", chat_id=42, action="typing") is True
    assert (await street.result("getChat", chat_id=42))["type"] == "private"
    member = await street.result("getChatMember", chat_id=42, user_id=42)
    assert (member["status"], member["user"]["first_name"]) == ("member", "Ann")
    assert await street.result("logOut") is True
    assert await street.result("close") is True


async def test_public_front_end_hides_wrong_tokens() -> None:
    """With `front_end` a wrong token is Not Found, as api.telegram.org says."""
    conditions = Conditions(front_end=True)
    async with Telegram.open(conditions=conditions) as telegram, aiohttp.ClientSession() as http:
        for token in ("nonsense", "1:b"):
            async with http.get(f"{telegram.api_url}/bot{token}/getMe") as response:
                told = await response.json()
            assert (response.status, told["description"]) == (404, "Not Found")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_line_serves_and_ends(unused_tcp_port_factory: Any, number: signal.Signals) -> None:
    """`python -m devstack.telegram` says where it is, serves, and ends when told to."""
    port, control_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devstack.telegram",
        f"--port={port}",
        f"--control-port={control_port}",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        told = [await asyncio.wait_for(process.stdout.readline(), 60) for _ in range(2)]
        api_url, control_url = (line.split()[-1].decode() for line in told)
        async with aiohttp.ClientSession() as http, http.get(control_url) as response:
            assert (await response.json())["api_url"] == api_url
    finally:
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0
