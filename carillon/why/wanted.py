"""What somebody asks about: an id of any kind, a dead letter's number, an update's, a slot, a trace."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from shared import ids
from shared.events import Channel, click_id, outcome_id, update_id_of

KINDS = ("posted", "sent", "failed", "suppressed", "ambiguous")
TRACE = re.compile(r"[0-9a-f]{32}")
UPDATE = re.compile(r"(?:(\d{1,18}):)?(\d{1,18})")
LETTER = re.compile(r"dlq:(\d{1,18})")
DEFAULT_SCHEDULE = ids.derived("schedule", "default")


class NoId(ValueError):
    """A text that names nothing that there could be."""


@dataclass
class Wanted:
    """What is looked for; it grows with what is found."""

    events: set[UUID] = field(default_factory=set)
    deliveries: set[UUID] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)
    updates: set[tuple[int | None, int]] = field(default_factory=set)
    slot: tuple[UUID, datetime] | None = None
    letter: int | None = None
    forwards: bool = False
    """Whether messages of a wanted trace are wanted too: a press has few, a list of requests many."""

    @property
    def size(self) -> int:
        """How much is known: while it grows there may be more to find."""
        return len(self.events) + len(self.deliveries) + len(self.traces) + len(self.updates)

    def add_message(self, message_id: UUID) -> None:
        """Want a message, with the deliveries that it can have."""
        self.events.add(message_id)
        self.deliveries |= {ids.delivery_of(message_id, channel) for channel in Channel}

    def add_attempts(self, delivery_id: UUID, attempts: int) -> None:
        """Want the outcomes of a delivery, up to an attempt."""
        self.deliveries.add(delivery_id)
        for attempt in range(attempts + 1):
            self.events |= {outcome_id(delivery_id, attempt, kind) for kind in KINDS}

    def add_update(self, bot_id: int, update_id: int) -> None:
        """Want an update, whichever event the gateway made of it, and what it led to."""
        self.updates.add((bot_id, update_id))
        self.events |= {update_id_of(bot_id, update_id), click_id(bot_id, update_id)}
        self.forwards = True


def read(text: str) -> Wanted:
    """Read what somebody asks about; raises NoId.

    A UUID, `dlq:<number>`, `<update id>` or `<bot id>:<update id>`, `<schedule>@<slot>`, or a trace id.
    """
    said = text.strip()
    if found := LETTER.fullmatch(said):
        return Wanted(letter=int(found[1]))
    if "@" in said:
        return Wanted(slot=_slot(said))
    if found := UPDATE.fullmatch(said):
        wanted = Wanted(updates={(int(found[1]) if found[1] else None, int(found[2]))}, forwards=True)
        if found[1]:
            wanted.add_update(int(found[1]), int(found[2]))
        return wanted
    if TRACE.fullmatch(said):
        return Wanted(traces={said}, forwards=True)
    try:
        wanted = Wanted()
        wanted.add_message(UUID(said))
        wanted.add_attempts(UUID(said), 0)
    except ValueError:
        raise NoId(said) from None
    return wanted


def _slot(said: str) -> tuple[UUID, datetime]:
    schedule, _, slot = said.partition("@")
    try:
        at = datetime.fromisoformat(slot)
        return (
            UUID(schedule) if schedule != "default" else DEFAULT_SCHEDULE,
            at if at.tzinfo else at.replace(tzinfo=UTC),
        )
    except ValueError:
        raise NoId(said) from None
