"""Events without the person they were about: that they happened stays on record, and is nobody's."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from shared.events import (
    Body,
    ButtonClicked,
    ClickAnnotated,
    Event,
    MessageRequested,
    Outcome,
    PromoDue,
    UpdateReceived,
)

NOBODY = UUID(int=0)
"""Whom a message was for that is nobody's any more."""
NO_CHAT = 0
"""Where a promo was due that was due in somebody's private chat."""
NO_WORDS = Body(text="-")


def redacted(event: Event) -> Event | None:
    """Return what may stay of an event about somebody who is forgotten: None where nothing may."""
    redact = next((each for kind, each in _REDACT.items() if isinstance(event, kind)), None)
    return redact(event) if redact else None


def _press(event: ButtonClicked) -> ButtonClicked:
    return event.model_copy(
        update={"person": None, "chat_id": group(event.chat_id), "metadata": counted(event.metadata)}
    )


def _note(event: ClickAnnotated) -> ClickAnnotated:
    return event.model_copy(update={"metadata": counted(event.metadata) or {}})


def _request(event: MessageRequested) -> MessageRequested:
    return event.model_copy(
        update={
            "user_id": NOBODY, "address": None, "variables": {}, "metadata": {}, "reply_to_message_id": None,
            "body": None if event.template else NO_WORDS, "edit_message_id": None,
        }
    )  # fmt: skip


def _outcome(event: Outcome) -> Outcome:
    return event.model_copy(
        update={"user_id": None, "chat_id": group(event.chat_id), "provider_message_id": None}
    )


def _due(event: PromoDue) -> PromoDue:
    return event.model_copy(update={"chat_id": group(event.chat_id) or NO_CHAT})


def _update(event: UpdateReceived) -> UpdateReceived:
    return event.model_copy(update={"update": emptied(event)})


def emptied(event: UpdateReceived) -> dict[str, Any]:
    """Return all that may stay of an update itself."""
    return {"update_id": event.update_id, event.kind: {}}


def counted(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what of a press's metadata is counted, and says nothing of anybody."""
    return {"conversion": metadata["conversion"]} if metadata and "conversion" in metadata else None


def group(chat_id: int | None) -> int | None:
    """Return a chat that is nobody's own: a private chat has the id of its person."""
    return chat_id if chat_id is not None and chat_id < 0 else None


_REDACT: dict[type[Event], Callable[[Any], Event]] = {
    ButtonClicked: _press,
    ClickAnnotated: _note,
    MessageRequested: _request,
    Outcome: _outcome,
    PromoDue: _due,
    UpdateReceived: _update,
}
