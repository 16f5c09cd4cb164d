"""A slot's decision, and what the world is told of it: the same event, however often it is told."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from services.scheduler.domain.catalogue import Promo
from shared import ids
from shared.events import Button, PromoCancelled, PromoDue, SlotSkipped, promo_due_id

Reason = Literal["missed", "no_promo", "no_chats", "stopped"]


@dataclass(frozen=True)
class Slot:
    """A decision: a promo, with all that its post shows, is due in these chats before `until`.

    A slot that is `skipped`, for a reason, shows nothing.
    """

    schedule_id: UUID
    slot: datetime
    decided_at: datetime
    bot: str
    chat_ids: tuple[int, ...] = ()
    promo_id: str | None = None
    payload: str | None = None
    text: str | None = None
    button: Button | None = None
    until: datetime | None = None
    skipped: Reason | None = None

    def showing(self, promo: Promo, chat_ids: tuple[int, ...], until: datetime | None) -> Self:
        """Return the slot with a snapshot of the promo that it posts."""
        return replace(
            self,
            chat_ids=chat_ids,
            promo_id=promo.id,
            payload=promo.payload,
            text=promo.text,
            button=promo.button,
            until=until,
        )

    def events(self) -> list[PromoDue | SlotSkipped]:
        """Return a PromoDue for each chat, or the one SlotSkipped."""
        if self.skipped is not None:
            return [
                SlotSkipped(
                    id=ids.derived("promo.slot_skipped", self.schedule_id, self.slot),
                    at=self.decided_at,
                    schedule_id=self.schedule_id,
                    slot=self.slot,
                    reason=self.skipped,
                )
            ]
        return [self._due(chat_id) for chat_id in self.chat_ids]

    def _due(self, chat_id: int) -> PromoDue:
        if self.promo_id is None or self.text is None or self.until is None:
            raise ValueError("a slot that is not skipped has a promo, its text and an end")
        return PromoDue(
            id=promo_due_id(self.schedule_id, self.slot, chat_id),
            at=self.decided_at,
            schedule_id=self.schedule_id,
            slot=self.slot,
            promo_id=self.promo_id,
            payload=self.payload,
            bot=self.bot,
            chat_id=chat_id,
            text=self.text,
            button=self.button,
            until=self.until,
        )


def told(event: PromoDue | SlotSkipped) -> Slot:
    """Return what an event says of its slot; a PromoDue tells of one chat."""
    if isinstance(event, SlotSkipped):
        return Slot(event.schedule_id, event.slot, event.at, "", skipped=event.reason)
    return Slot(
        event.schedule_id, event.slot, event.at, event.bot, (event.chat_id,), event.promo_id, event.payload,
        event.text, event.button, event.until,
    )  # fmt: skip


@dataclass(frozen=True)
class Cancellation:
    """What is unsent of a schedule's slots up to `up_to`, or of one promo of them, is not to be sent."""

    schedule_id: UUID
    up_to: datetime
    at: datetime
    reason: Literal["stopped", "disabled"] = "stopped"
    promo_id: str | None = None

    @property
    def id(self) -> UUID:
        """The id of its event: the same cancellation twice is one."""
        key = [self.schedule_id, self.up_to, *([self.promo_id] if self.promo_id else [])]
        return ids.derived("promo.cancelled", *key)

    def event(self) -> PromoCancelled:
        """Return its PromoCancelled."""
        return PromoCancelled(
            id=self.id,
            at=self.at,
            schedule_id=self.schedule_id,
            promo_id=self.promo_id,
            up_to=self.up_to,
            reason=self.reason,
        )
