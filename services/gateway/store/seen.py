"""People as events show them, and what of it is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared import ids
from shared.events import Person


@dataclass(frozen=True)
class Seen:
    """A person as an event showed them; `chat_id` is their private chat, where the event was in it."""

    person: Person
    bot: str
    chat_id: int | None
    cause: UUID
    at: datetime


def columns_of(people: Sequence[Seen]) -> dict[str, list[Any]]:
    """Return the newest state of each person as columns; nothing where there is none but bots."""
    newest = {each.person.telegram_id: each for each in sorted(people, key=lambda each: each.at)}
    private = {each.person.telegram_id: each for each in people if each.chat_id is not None}
    seen = [
        (each, private.get(telegram_id, each))
        for telegram_id, each in newest.items()
        if not each.person.is_bot
    ]
    if not seen:
        return {}
    return {
        "ids": [ids.user_of_telegram(each.person.telegram_id) for each, _ in seen],
        "telegram_ids": [each.person.telegram_id for each, _ in seen],
        "usernames": [each.person.username for each, _ in seen],
        "first_names": [each.person.first_name for each, _ in seen],
        "last_names": [each.person.last_name for each, _ in seen],
        "languages": [each.person.language for each, _ in seen],
        "chat_ids": [chat.chat_id for _, chat in seen],
        "bots": [chat.bot if chat.chat_id is not None else None for _, chat in seen],
        "causes": [each.cause for each, _ in seen],
        "seen_at": [each.at for each, _ in seen],
    }
