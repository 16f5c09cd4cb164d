"""Telling what happened: outcomes, recipients and campaigns, published after their rows say so.

A row knows what has not been told yet; whatever a crash left untold is told by the next round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import RowMapping

from services.senders.domain.requests import Request
from services.senders.handlers import versions
from services.senders.handlers.tracing import of_message
from services.senders.store import Campaigns, Ledger, Recipients
from shared import metrics
from shared.coalescing import Coalescing
from shared.events import (
    Channel,
    ChatChanged,
    Event,
    MessageAmbiguous,
    MessageFailed,
    MessageSent,
    MessageSuppressed,
    Outcome,
    PromoPosted,
    State,
    outcome_id,
)
from shared.ids import derived

Publish = Callable[[Event], Awaitable[None]]
AT_ONCE = 100
"""So many rows of one kind are told together."""

_CLASSES: dict[str, type[Outcome]] = {
    State.SENT: MessageSent,
    State.FAILED: MessageFailed,
    State.SUPPRESSED: MessageSuppressed,
    State.AMBIGUOUS: MessageAmbiguous,
}


def outcome_of(row: RowMapping, request: Request | None = None) -> Outcome:
    """Return the event that tells how a delivery ended; its row holds the request where it is not given."""
    request = request or Request.model_validate(row["request"])
    kind = PromoPosted if request.promo and row["state"] == State.SENT else _CLASSES[row["state"]]
    goes_on = row["state"] in (State.FAILED, State.SUPPRESSED) and row["position"] + 1 < len(request.channels)
    return kind(
        id=outcome_id(row["id"], row["attempt"], kind.kind),
        at=datetime.now(UTC),
        message_id=row["message_id"],
        delivery_id=row["id"],
        channel=Channel(row["channel"]),
        lane=request.lane,
        attempt=row["attempt"],
        type=request.type,
        user_id=request.user_id,
        campaign_id=request.campaign_id,
        promo=request.promo,
        bot=row["bot"] or request.bot,
        chat_id=row["chat_id"] or (request.address.telegram_chat_id if request.address else None),
        provider_message_id=row["provider_message_id"],
        reason=row["reason"],
        last=not goes_on or row["reason"] in _CHAIN_ENDS,
        possible_duplicate=row["resent"],
    )


_CHAIN_ENDS = ("opted_out", "duplicate", "expired", "cancelled", "dead_letter")
_CHAT_CHANGES = {"blocked": "blocked", "deactivated": "blocked", "kicked": "kicked"}
"""What a failed send tells of its chat."""


class Announcer:
    """Publishes what the rows say and notes that it is published."""

    def __init__(
        self, publish: Publish, ledger: Ledger, recipients: Recipients, campaigns: Campaigns
    ) -> None:
        self._publish = publish
        self._ledger = ledger
        self._recipients = recipients
        self._campaigns = campaigns
        # Many may ask at once, each because of a row of its own: all rows are told by whoever is at it.
        self.recipients = Coalescing(self._recipients_changed)
        self.chats = Coalescing(self._chats_changed)

    async def outcome(self, delivery_id: UUID) -> None:
        """Tell how a delivery ended, if that is not told yet."""
        if row := await self._ledger.outcome(delivery_id):
            await self._tell(row)

    async def ended(self, row: RowMapping, request: Request) -> None:
        """Tell how a delivery has just ended; of somebody who was forgotten since not whose it was."""
        if row["is_nobodys"]:
            await self.outcome(row["id"])
        else:
            await self._tell(row, request)

    async def outcomes(self, *, older_than: float) -> int:
        """Tell every outcome that a crash left untold; return how many."""
        rows = await self._ledger.unannounced(older_than=older_than)
        for row in rows:
            with of_message(row["trace"]):
                await self._tell(row)
        return len(rows)

    async def _recipients_changed(self) -> None:
        """Tell the newest state of every changed recipient."""
        await self._tell_all(
            self._recipients.unannounced, versions.recipient_changed, self._recipients.announced
        )

    async def forgotten(self) -> None:
        """Tell who is to be forgotten by everybody."""
        for row in await self._recipients.untold_forgotten():
            await self._publish(versions.recipient_forgotten(row))
            await self._recipients.forgotten_announced(row["user_id"], row["version"])

    async def _chats_changed(self) -> None:
        """Tell what Telegram told of chats."""
        await self._tell_all(
            self._recipients.untold_chats, versions.chat_changed, self._recipients.chats_announced
        )

    async def _tell_all(
        self,
        untold: Callable[[int], Awaitable[Sequence[RowMapping]]],
        event_of: Callable[[RowMapping], Event],
        note: Callable[[Sequence[RowMapping]], Awaitable[int]],
    ) -> None:
        """Publish rows and note which are told; then raise the first error, for what is left."""
        more = True
        while more and (rows := await untold(AT_ONCE)):
            published = (self._publish(event) for event in list(map(event_of, rows)))
            errors = await asyncio.gather(*published, return_exceptions=True)
            told = [row for row, error in zip(rows, errors, strict=True) if error is None]
            noted = await note(told) if told else 0
            for error in filter(None, errors):
                raise error
            # Where nothing could be noted, whoever holds the rows is to end first.
            more = len(rows) == AT_ONCE and noted > 0

    async def migrations(self) -> None:
        """Tell which chats live on under another id."""
        for row in await self._recipients.migrations():
            await self._publish(versions.chat_migrated(row, datetime.now(UTC)))
            await self._recipients.migration_announced(**dict(row))

    async def campaigns(self) -> None:
        """Tell the newest state of every changed campaign."""
        for row in await self._campaigns.unannounced():
            await self._publish(versions.campaign_changed(row, datetime.now(UTC)))
            await self._campaigns.announced(row["id"], row["version"])

    async def _tell(self, row: RowMapping, request: Request | None = None) -> None:
        event = outcome_of(row, request)
        await self._publish(event)
        if change := _chat_change(event):
            await self._publish(change)
        await self._ledger.announced(row["id"], row["state"], row["attempt"])
        _count(event)


def _chat_change(event: Outcome) -> ChatChanged | None:
    change = _CHAT_CHANGES.get(event.reason or "")
    failed = event.state is State.FAILED and event.channel is Channel.TELEGRAM
    if change is None or not failed or event.bot is None or event.chat_id is None:
        return None
    return ChatChanged.model_validate(
        {
            "id": derived("chat.changed", event.bot, event.chat_id, change, event.delivery_id, event.attempt),
            "at": event.at,
            "bot": event.bot,
            "chat_id": event.chat_id,
            "change": change,
        }
    )


def _count(event: Outcome) -> None:
    if event.state is State.SENT:
        metrics.MESSAGES_SENT.labels(channel=event.channel, type=event.type).inc()
        if event.channel is Channel.TELEGRAM:
            metrics.TELEGRAM_SENT.labels(type=event.type).inc()
        if event.channel is Channel.PUSH:
            metrics.PUSH_SENT.labels(type=event.type).inc()
        if event.type.startswith("position_failure"):
            metrics.POSITION_ALERTS.labels(type=event.type, channel=event.channel).inc()
    elif event.state is State.FAILED:
        metrics.MESSAGES_FAILED.labels(reason=event.reason or "unknown", channel=event.channel).inc()
    elif event.state is State.SUPPRESSED:
        metrics.MESSAGES_SUPPRESSED.labels(reason=event.reason or "unknown", channel=event.channel).inc()
    else:
        metrics.AMBIGUOUS_SENDS.labels(channel=event.channel, lane=event.lane).inc()
