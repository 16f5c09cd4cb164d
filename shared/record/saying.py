"""What the streams say, an event at a time, in the few words that books are kept in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from shared.bus import Stored

SENT_WEIGHT = 1 << 40
_RANKS = {"posted": 3, "sent": 3, "failed": 2, "suppressed": 2, "ambiguous": 1}
_STATES = {"posted": "sent"}


@dataclass(frozen=True, slots=True)
class Said:
    """A word of an event: about what (`source`, `key`), and how it stands (`state`).

    Of several about the same thing the heaviest counts, with `tie` between equals. `parent` is what the thing
    is part of; `last` is false when more of that follows.
    """

    source: str
    key: str
    state: str = ""
    weight: int = 0
    tie: str = ""
    parent: str = ""
    last: bool = True


@dataclass(frozen=True)
class Source:
    """Where something is said: a stream, its subjects, and how its messages are read."""

    stream: str
    subjects: tuple[str, ...]
    read: Callable[[Stored], Iterable[Said]]


def fields_of(payload: bytes) -> dict[str, Any]:
    """Read an event's fields; none of what is not an object."""
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def key_of(stored: Stored, fields: dict[str, Any]) -> str:
    """Name an event by its own id, as tables do; its headers may be missing, or be somebody else's."""
    try:
        return str(UUID(fields["id"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return stored.event_key


def update_key(stored: Stored, fields: dict[str, Any]) -> str:
    """Name an update as the update log does, by bot and number; else by its event."""
    if {"bot_id", "update_id"} <= fields.keys():
        return f"{fields['bot_id']}:{fields['update_id']}"
    return stored.event_key


def named(source: str) -> Callable[[Stored], Iterable[Said]]:
    """Read events of which only the id matters."""

    def read(stored: Stored) -> Iterable[Said]:
        yield Said(source, key_of(stored, fields_of(stored.payload)))

    return read


def outcome(source: str, stored: Stored, fields: dict[str, Any], key: str) -> Said:
    """Read an outcome about `key`: sent always wins, otherwise the highest attempt, then the rank."""
    kind = stored.subject.split(".")[1]
    weight = _RANKS.get(kind, 0) + 8 * int(fields.get("attempt", 0))
    return Said(
        source,
        key,
        _STATES.get(kind, kind),
        weight + (SENT_WEIGHT if kind in ("posted", "sent") else 0),
        key_of(stored, fields),
        str(fields.get("message_id", "")),
        bool(fields.get("last", True)),
    )
