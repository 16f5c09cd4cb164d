"""What an update of Telegram's says; whatever shape it has, reading it never fails."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from shared import ids
from shared.events import Person

KINDS = (
    "message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "inline_query",
    "chosen_inline_result", "my_chat_member", "chat_member", "chat_join_request", "message_reaction",
    "message_reaction_count", "poll", "poll_answer", "pre_checkout_query", "shipping_query",
    "business_connection", "business_message", "edited_business_message", "deleted_business_messages",
    "chat_boost", "removed_chat_boost", "purchased_paid_media",
)  # fmt: skip
HANDLED = ("message", "edited_message", "channel_post", "callback_query", "my_chat_member")
"""The kinds that Telegram is asked for; others, should they come, are stored and counted too."""
OTHER = "other"

_INSIDE = frozenset({"member", "administrator", "creator"})
_OUTSIDE = frozenset({"left", "kicked"})
_PRESS = re.compile(r"p1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{22})", re.ASCII)


@dataclass(frozen=True)
class Press:
    """A press on a promo's button."""

    query_id: str
    payload: str
    delivery_id: UUID
    person: Person
    chat_id: int | None
    message_id: int | None
    cta_text: str | None


@dataclass(frozen=True)
class Membership:
    """What became of a bot in a chat; `date` is when, in seconds since 1970, if that is told."""

    chat_id: int
    change: Literal["blocked", "unblocked", "kicked", "added"]
    date: int | None


@dataclass(frozen=True)
class Written:
    """What an update says of people: who, where, and the words, as far as it says so."""

    person: Person | None
    chat_id: int | None
    is_private: bool
    message_id: int | None
    text: str | None
    is_gone: bool = False
    """The message whose button was pressed is no longer there to be changed."""


def update_id_in(update: Any) -> int | None:
    """Return an update's id, or None for what has no integer of 64 bits there."""
    return _integer(update.get("update_id")) if isinstance(update, dict) else None


def kind_of(update: Mapping[str, Any]) -> str:
    """Return the kind of an update, from a bounded set."""
    return next((kind for kind in KINDS if kind in update), OTHER)


def query_id_of(update: Mapping[str, Any]) -> str | None:
    """Return the id of the callback query, which wants an answer, if the update is one."""
    found = _mapping(update.get("callback_query")).get("id")
    return found if isinstance(found, str) and found else None


def press_of(update: Mapping[str, Any]) -> Press | None:
    """Return the press on a promo's button that an update tells of, if it is well-formed in every part."""
    query = _mapping(update.get("callback_query"))
    query_id, data = query_id_of(update), query.get("data")
    person = person_of(query.get("from"))
    if query_id is None or person is None or not isinstance(data, str):
        return None
    found = _PRESS.fullmatch(data)
    if found is None or not _has_sound_message(query):
        return None
    try:
        delivery_id = ids.from_short(found[2])
    except ValueError:
        return None
    message = _mapping(query.get("message"))
    return Press(
        query_id=query_id, payload=found[1], delivery_id=delivery_id, person=person,
        chat_id=_integer(_mapping(message.get("chat")).get("id")),
        message_id=_integer(message.get("message_id")),
        cta_text=_text_of_button(message, data),
    )  # fmt: skip


def membership_of(update: Mapping[str, Any]) -> Membership | None:
    """Return what `my_chat_member` says of a bot in a chat, if it says anything that can be understood."""
    part = _mapping(update.get("my_chat_member"))
    chat, member = _mapping(part.get("chat")), _mapping(part.get("new_chat_member"))
    chat_id, status = _integer(chat.get("id")), member.get("status")
    if chat_id is None or not isinstance(status, str) or status not in _INSIDE | _OUTSIDE | {"restricted"}:
        return None
    is_in = member.get("is_member") is True if status == "restricted" else status in _INSIDE
    if chat.get("type") == "private":
        return Membership(chat_id, "unblocked" if is_in else "blocked", _integer(part.get("date")))
    return Membership(chat_id, "added" if is_in else "kicked", _integer(part.get("date")))


def replied_text(update: Mapping[str, Any]) -> str | None:
    """Return the text of the message that a message replies to, if it is one with a text."""
    replied = _mapping(_mapping(update.get("message")).get("reply_to_message"))
    return _string(replied.get("text"))


def person_of(value: Any) -> Person | None:
    """Return the Telegram user that a JSON value describes, or None where it does not."""
    user = _mapping(value)
    telegram_id = _integer(user.get("id"))
    if telegram_id is None:
        return None
    return Person(
        telegram_id=telegram_id,
        username=_string(user.get("username")),
        first_name=_string(user.get("first_name")) or "",
        last_name=_string(user.get("last_name")),
        language=_string(user.get("language_code")),
        is_bot=user.get("is_bot") is True,
    )


def words_in(update: Mapping[str, Any], kind: str) -> str | None:
    """Return what somebody wrote, or the data of what they pressed."""
    part = _mapping(update.get(kind))
    return _string(part.get("data" if kind == "callback_query" else "text"))


def written_in(update: Mapping[str, Any], kind: str) -> Written:
    """Return who wrote what, where."""
    part = _mapping(update.get(kind))
    message = _mapping(part.get("message")) if kind == "callback_query" else part
    chat = _mapping(message.get("chat"))
    return Written(
        person=person_of(part.get("from")),
        chat_id=_integer(chat.get("id")),
        is_private=chat.get("type") == "private",
        message_id=_integer(message.get("message_id")),
        text=words_in(update, kind),
        is_gone=message.get("date") == 0,
    )


def _has_sound_message(query: Mapping[str, Any]) -> bool:
    """Say whether the pressed message is not told at all (inline mode), or told with whole ids."""
    if query.get("message") is None:
        return True
    message = _mapping(query["message"])
    return (
        _integer(message.get("message_id")) is not None
        and _integer(_mapping(message.get("chat")).get("id")) is not None
    )


def _text_of_button(message: Mapping[str, Any], data: str) -> str | None:
    rows = _mapping(message.get("reply_markup")).get("inline_keyboard")
    for row in rows if isinstance(rows, list) else ():
        for button in row if isinstance(row, list) else ():
            if isinstance(button, dict) and button.get("callback_data") == data:
                return _string(button.get("text"))
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    """Return a whole number of 64 bits; True is none."""
    is_one = isinstance(value, int) and not isinstance(value, bool)
    return value if is_one and -(2**63) <= value < 2**63 else None
