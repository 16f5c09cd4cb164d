"""Erasing somebody from the streams: what is about them is stored without them, and the original destroyed.

The copy has the event's own id, so that books still balance and tables can still be rebuilt. What has no use
without them is only destroyed. Erasing twice, or again after a crash, erases the rest.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from shared.bus import Bus, Stored
from shared.bus.envelope import BY_NAME
from shared.events import RecipientForgotten
from shared.failpoints import passing
from shared.ids import user_of_telegram
from shared.record.ordering import put_behind
from shared.record.redacting import redacted
from shared.record.saying import fields_of

_NUMBERS = ("id", "telegram_id", "chat_id", "telegram_chat_id", "new_chat_id", "user_id")
"""Fields that may hold a person's number at Telegram."""
STREAMS = {
    "PROMOS": "promos.due", "CLICKS": "clicks.>", "UPDATES": "updates.>", "TRANSACTIONAL": "messages.>",
    "CAMPAIGN": "messages.>", "OUTCOMES": "outcomes.>", "RECIPIENTS": ">", "DLQ": "dlq.>",
    "DISCARDED": "discarded.>",
}  # fmt: skip
"""Where people are spoken of."""


@dataclass(frozen=True)
class Somebody:
    """Who is to be erased: the ids that they were known by, and their mailboxes (lower case)."""

    user_ids: frozenset[UUID]
    emails: frozenset[str] = frozenset()

    def is_in(self, value: Any, field: str = "") -> bool:
        """Say whether a JSON value speaks of them."""
        if isinstance(value, dict):
            return any(self.is_in(part, name) for name, part in value.items())
        if isinstance(value, list):
            return any(self.is_in(part, field) for part in value)
        if isinstance(value, str):
            return value.lower() in self.emails or value.lower() in self.names
        is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return field in _NUMBERS and is_number and user_of_telegram(value) in self.user_ids

    @property
    def names(self) -> Collection[str]:
        """Their ids as text."""
        return {str(user_id) for user_id in self.user_ids}


async def erase(bus: Bus, somebody: Somebody) -> dict[str, int]:
    """Erase somebody from every stream; return how many messages of each were about them."""
    erased = {}
    cut = await bus.streams.cut()
    for stream, subjects in STREAMS.items():
        # All are found first: what is stored anew must not be looked at again.
        found = [
            stored
            async for stored in bus.streams.read(stream, subjects, up_to=cut[stream])
            if _speaks_of(somebody, stored)
        ]
        if stream == "CLICKS":
            # Notes go before the presses that they are found by.
            found = await _notes(bus, {stored.event_key for stored in found}, cut[stream]) + found
        for stored in found:
            await _replace(bus, stream, stored, _rest(stored))
        if stream == "UPDATES":
            # What was done with an update means nothing before the update: it comes behind it again.
            await put_behind(bus)
        erased[stream] = len(found)
    return erased


async def erase_notes(bus: Bus, presses: Collection[UUID]) -> int:
    """Erase what was noted about somebody's presses, which may be trimmed; return how many notes it was."""
    found = await _notes(bus, {str(press) for press in presses}, (await bus.streams.cut())["CLICKS"])
    found = [stored for stored in found if (rest := _rest(stored)) is not None and rest != stored.payload]
    for stored in found:
        await _replace(bus, "CLICKS", stored, _rest(stored))
    return len(found)


async def _replace(bus: Bus, stream: str, stored: Stored, rest: bytes | None) -> None:
    if rest is not None:
        await bus.streams.store_again(stored, rest, f"forgotten {stored.sequence}")
        passing("forget_stored")
    await bus.streams.erase(stream, stored.sequence)


async def _notes(bus: Bus, presses: Collection[str], up_to: int) -> list[Stored]:
    """Return what was noted later about presses."""
    return [
        stored
        async for stored in bus.streams.read("CLICKS", "clicks.annotated", up_to=up_to)
        if fields_of(stored.payload).get("click_id") in presses
    ]


def _speaks_of(somebody: Somebody, stored: Stored) -> bool:
    if stored.event == RecipientForgotten.name:
        return False
    if fields := fields_of(stored.payload):
        return somebody.is_in(fields)
    words = stored.payload.decode("utf-8", "replace").lower()
    return any(name in words for name in (*somebody.names, *somebody.emails))


def _rest(stored: Stored) -> bytes | None:
    """Return what may stay of a message; of a dead letter something stays in any case, for the books."""
    event_class = BY_NAME.get(stored.event)
    try:
        event = event_class.model_validate_json(stored.payload) if event_class else None
    except ValidationError:
        event = None
    rest = redacted(event) if event else None
    if rest is not None:
        return rest.model_dump_json().encode()
    return b"{}" if stored.subject.startswith(("dlq.", "discarded.")) else None
