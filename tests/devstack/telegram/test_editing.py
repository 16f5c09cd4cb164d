"""Editing and deleting messages."""

from typing import Any

import pytest


async def test_edit_changes_text_and_removes_an_unnamed_keyboard(street: Any) -> None:
    """An edited message has its new text and a date of change; without reply_markup the keyboard goes."""
    number = await street.post()
    edited = await street.result("editMessageText", chat_id=42, message_id=number, text="New")
    assert edited["text"] == "New"
    assert edited["edit_date"] >= edited["date"]
    assert "reply_markup" not in edited


async def test_edit_of_markup_alone_keeps_the_text(street: Any) -> None:
    """Replacing the keyboard leaves the text alone."""
    number = await street.post(text="Same")
    markup = {"inline_keyboard": [[{"text": "b", "callback_data": "c"}]]}
    edited = await street.result("editMessageReplyMarkup", chat_id=42, message_id=number, reply_markup=markup)
    assert (edited["text"], edited["reply_markup"]) == ("Same", markup)


async def test_same_content_is_not_modified(street: Any) -> None:
    """An edit that changes nothing is refused with the long sentence that clients look for."""
    number = (await street.result("sendMessage", chat_id=42, text="Same"))["message_id"]
    for method, fields in (("editMessageText", {"text": "Same"}), ("editMessageReplyMarkup", {})):
        code, told = await street.refusal(method, chat_id=42, message_id=number, **fields)
        assert code == 400
        assert told == (
            "Bad Request: message is not modified: specified new message content and reply markup are"
            " exactly the same as a current content and reply markup of the message"
        )


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({"chat_id": 42, "message_id": 1, "text": "x"}, "message to edit not found"),
        ({"text": "x"}, "message identifier is not specified"),
        ({"chat_id": 42, "text": "x"}, "message identifier is not specified"),
        ({"chat_id": 42, "message_id": 1}, "message text is empty"),
        ({"message_id": 1, "text": "x"}, "chat_id is empty"),
    ],
)
async def test_edit_of_nothing_is_refused(street: Any, fields: dict[str, Any], description: str) -> None:
    """What is missing for an edit is named."""
    assert await street.refusal("editMessageText", **fields) == (400, f"Bad Request: {description}")


async def test_too_long_an_edit_has_its_own_word(street: Any) -> None:
    """An edit says MESSAGE_TOO_LONG where sendMessage has a sentence."""
    number = await street.post()
    told = await street.refusal("editMessageText", chat_id=42, message_id=number, text="x" * 4097)
    assert told == (400, "Bad Request: MESSAGE_TOO_LONG")


async def test_only_own_messages_can_be_edited(street: Any) -> None:
    """A user's message and a service message are not the bot's to edit, nor in a group to delete."""
    group = await street.chat("group")
    theirs = (await street.control("POST", "/send", chat_id=group, user_id=42, text="mine"))["message_id"]
    told = await street.refusal("editMessageText", chat_id=group, message_id=theirs, text="x")
    assert told == (400, "Bad Request: message can't be edited")
    told = await street.refusal("deleteMessage", chat_id=group, message_id=theirs)
    assert told == (400, "Bad Request: message can't be deleted")


async def test_inline_messages_are_edited_to_true(street: Any) -> None:
    """An edit by inline_message_id results in true, as there is no chat to show."""
    assert await street.result("editMessageText", inline_message_id="abc", text="x") is True


async def test_deleted_message_is_gone(street: Any) -> None:
    """A deleted message cannot be deleted or edited again, and what is missing is named."""
    number = await street.post()
    assert await street.result("deleteMessage", chat_id=42, message_id=number) is True
    told = await street.refusal("deleteMessage", chat_id=42, message_id=number)
    assert told == (400, "Bad Request: message to delete not found")
    assert await street.refusal("deleteMessage", chat_id=42) == (
        400,
        "Bad Request: message identifier is not specified",
    )
    assert await street.refusal("deleteMessage", message_id=1) == (
        400,
        "Bad Request: chat identifier is not specified",
    )
