"""What is to be sent, whichever event asked for it."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime

from shared.events import (
    DEFAULT_CHAIN,
    Address,
    Body,
    Channel,
    Lane,
    MessageRequested,
    PromoDue,
    PromoRef,
    QuietHours,
    Value,
    Variable,
    campaign_item_id,
)
from shared.ids import derived


class Request(Value):
    """A message as the ledger keeps it; `id` is the message's id."""

    id: UUID
    lane: Lane
    channels: tuple[Channel, ...]
    user_id: UUID | None = None
    address: Address | None = None
    bot: str | None = None
    template: str | None = None
    variables: dict[str, Variable] = {}
    body: Body | None = None
    sender: str | None = None
    reply_to_message_id: int | None = None
    edit_message_id: int | None = None
    expires_at: AwareDatetime
    not_before: AwareDatetime | None = None
    campaign_id: UUID | None = None
    campaign_position: int | None = None
    promo: PromoRef | None = None
    requested_at: datetime

    @property
    def type(self) -> str:
        """The template's name, `promo` or `body`: bounded, for labels."""
        return "promo" if self.promo else self.template or "body"

    @property
    def is_stub(self) -> bool:
        """Whether it says nothing: little more than the id could be read of it."""
        return self.template is None and self.body is None and self.promo is None

    @cached_property
    def queue(self) -> UUID:
        """Whose turn it is kept for: first attempts of one lane and channel to one address go in order."""
        return derived("queue", self.lane, self.channels[0], self.bot, self.user_id, self.address)

    @classmethod
    def of_message(
        cls, event: MessageRequested, default_chain: tuple[Channel, ...] = DEFAULT_CHAIN
    ) -> "Request":
        """Return the request of a MessageRequested."""
        # An event has been validated: what it says is taken over as it is.
        said = {name: getattr(event, name) for name in _SAID}
        said |= {"channels": event.channels or default_chain, "requested_at": event.at}
        if not _is_item(event):
            said["campaign_position"] = None
        return Request.model_construct(**said)

    @classmethod
    def of_promo(cls, event: PromoDue) -> Self:
        """Return the request of a PromoDue."""
        return cls(
            id=event.id,
            lane=Lane.PROMO,
            channels=(Channel.TELEGRAM,),
            address=Address(telegram_chat_id=event.chat_id),
            bot=event.bot,
            body=Body(
                text=event.text,
                format="markdown_v2",
                buttons=((event.button,),) if event.button else (),
            ),
            expires_at=event.until,
            promo=PromoRef(
                schedule_id=event.schedule_id, slot=event.slot, promo_id=event.promo_id, payload=event.payload
            ),
            requested_at=event.at,
        )


def chain_of(order: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return the fallback order of somebody who puts these channels first."""
    return (*order, *(channel for channel in DEFAULT_CHAIN if channel not in order))


def _is_item(event: MessageRequested) -> bool:
    """Say whether a message is of a campaign's list: its id proves the place that it claims."""
    campaign_id, position = event.campaign_id, event.campaign_position
    if campaign_id is None or position is None:
        return False
    return event.id == campaign_item_id(campaign_id, position)


_SAID = MessageRequested.model_fields.keys() & Request.model_fields.keys()


class Delivery(Value):
    """A message over one channel, with what is known of it when its next attempt is due."""

    id: UUID
    request: Request
    channel: Channel
    position: int
    attempt: int
    tries: int
    greylists: int
    faults: int
    resent: bool
    cancelled: bool
    paused: bool
    behind: int
    """How many first attempts to the same address have to start before this one."""
    trace: str | None

    @property
    def next_channel(self) -> Channel | None:
        """The channel that follows in the chain."""
        following = self.request.channels[self.position + 1 :]
        return following[0] if following else None


class Recipient(Value):
    """Where somebody can be reached, and whether they want to be."""

    user_id: UUID | None = None
    email: str | None = None
    telegram_chat_id: int | None = None
    bot: str | None = None
    language: str | None = None
    time_zone: str | None = None
    opted_out: bool = False
    muted: tuple[Channel, ...] = ()
    channel_order: tuple[Channel, ...] | None = None
    quiet_hours: QuietHours | None = None
