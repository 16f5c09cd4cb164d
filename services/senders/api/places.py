"""Pages: where a list goes on."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from shared.bus import Refusal
from shared.cursors import from_cursor, to_cursor

ItemT = TypeVar("ItemT")


def place(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the time and id behind which a page begins; refuses a cursor that is none."""
    try:
        return from_cursor(cursor) if cursor else None
    except ValueError as error:
        raise Refusal(422, "Invalid cursor", str(error)) from None


def page_of(
    found: Sequence[ItemT], limit: int, key: Callable[[ItemT], tuple[datetime | None, UUID]]
) -> tuple[tuple[ItemT, ...], str | None]:
    """Return a page of what was found, one more than it holds if there is more, and the cursor behind it."""
    items = tuple(found[:limit])
    at, last = key(items[-1]) if len(found) > limit else (None, None)
    return items, to_cursor(at, last) if at and last else None
