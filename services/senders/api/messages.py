"""What senders answers about messages."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from services.senders.store import Ledger
from shared.bus import Refusal
from shared.cursors import from_cursor, to_cursor
from shared.events import Channel, Lane, State
from shared.queries import (
    AttemptView,
    CancelMessage,
    DeliveryView,
    DoubtPage,
    DoubtView,
    GetMessage,
    ListMessages,
    MessageCancelled,
    MessageView,
)

_BEST_FIRST = (State.SENT, State.AMBIGUOUS, State.PENDING, State.FAILED, State.SUPPRESSED)


async def get_message(query: GetMessage, ledger: Ledger) -> MessageView:
    """Tell what became of a message; refuses with 404."""
    found = await ledger.message(query.message_id)
    if found is None:
        raise Refusal(404, "Unknown message", "senders knows no message of that id (yet)")
    message, deliveries, history = found
    views = tuple(_delivery(row) for row in deliveries)
    state = next((each for each in _BEST_FIRST if any(view.state is each for view in views)), State.PENDING)
    reason = next((view.reason for view in reversed(views) if view.state is state), None)
    if state is State.PENDING and reason is None and await ledger.has_stumbled(query.message_id):
        reason = "unforeseen"
    return MessageView(
        id=message["id"],
        lane=Lane(message["lane"]),
        state=state,
        reason=reason,
        user_id=message["user_id"],
        template=message["template"],
        campaign_id=message["campaign_id"],
        possible_duplicate=any(row["resent"] for row in deliveries),
        created_at=message["created_at"],
        expires_at=message["expires_at"],
        deliveries=views,
        history=tuple(
            AttemptView(
                channel=Channel(row["channel"]),
                attempt=row["attempt"],
                state=State(row["state"]),
                reason=row["reason"],
                provider_message_id=row["provider_message_id"],
                at=row["at"],
            )
            for row in history
        ),
    )


async def list_messages(query: ListMessages, ledger: Ledger) -> DoubtPage:
    """List what is in doubt, newest first; refuses a cursor that is none."""
    try:
        before = from_cursor(query.cursor) if query.cursor else None
    except ValueError as error:
        raise Refusal(422, "Invalid cursor", str(error)) from None
    rows = await ledger.in_doubt(query.limit + 1, campaign_id=query.campaign_id, before=before)
    items = tuple(DoubtView.model_validate(dict(row)) for row in rows[: query.limit])
    more = len(rows) > query.limit
    return DoubtPage(items=items, cursor=to_cursor(items[-1].updated_at, items[-1].id) if more else None)


async def cancel_message(
    command: CancelMessage, ledger: Ledger, tell: Callable[[UUID], Awaitable[None]]
) -> MessageCancelled:
    """Cancel what is unsent of a message, one that is still to come included; refuses what has ended."""
    for delivery_id in await ledger.cancel_message(command.message_id):
        await tell(delivery_id)
    if await ledger.message(command.message_id) is None:
        return MessageCancelled(id=command.message_id)
    view = await get_message(GetMessage(message_id=command.message_id), ledger)
    if view.state is not State.PENDING and view.reason != "cancelled":
        raise Refusal(409, "Too late", f"the message has ended: {view.state}")
    return MessageCancelled(id=command.message_id, state=view.state)


def _delivery(row: Mapping[Any, Any]) -> DeliveryView:
    return DeliveryView(
        id=row["id"],
        channel=Channel(row["channel"]),
        state=State.PENDING if row["state"] == "sending" else State(row["state"]),
        attempts=row["attempt"],
        reason=row["reason"],
        provider_message_id=row["provider_message_id"],
        due_at=row["due_at"] if row["state"] == "pending" else None,
        updated_at=row["updated_at"],
    )
