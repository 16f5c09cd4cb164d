"""What rows of senders' state say to others: the same event, whoever tells it and however often."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.senders.store import quiet_hours
from shared.events import CampaignChanged, ChatChanged, RecipientChanged, RecipientForgotten
from shared.ids import derived

Row = Mapping[Any, Any]


def recipient_changed(row: Row) -> RecipientChanged:
    """Tell a recipient's state; the row has the number of their `subscriptions`."""
    return RecipientChanged(
        id=derived("recipient.changed", row["user_id"], row["version"]),
        at=row["updated_at"],
        user_id=row["user_id"],
        version=row["version"],
        has_email=row["email"] is not None,
        telegram_chat_id=row["telegram_chat_id"],
        push_subscriptions=row["subscriptions"],
        language=row["language"],
        time_zone=row["time_zone"],
        role=row["role"],
        opted_out=row["opted_out"],
        muted=row["muted"],
        channel_order=row["channel_order"] or (),
        quiet_hours=quiet_hours(row),
        telegram_id=row["telegram_id"],
        linked_to=row["linked_to"],
    )


def recipient_forgotten(row: Row) -> RecipientForgotten:
    """Tell that somebody is to be forgotten."""
    return RecipientForgotten(
        id=derived("recipient.forgotten", row["user_id"], row["version"]),
        at=row["forgotten_at"],
        user_id=row["user_id"],
        version=row["version"],
    )


def chat_changed(row: Row) -> ChatChanged:
    """Tell what Telegram told of a chat."""
    told = {name: row[name] for name in ("bot", "chat_id", "change")}
    return ChatChanged(
        id=derived("chat.changed", *told.values(), row["cause"]), at=row["told_at"], **told
    )  # fmt: skip


def chat_migrated(row: Row, at: datetime) -> ChatChanged:
    """Tell under which id a chat lives on."""
    told = {name: row[name] for name in ("bot", "chat_id", "new_chat_id")}
    event_id = derived("chat.changed", row["bot"], row["chat_id"], "migrated", row["new_chat_id"])
    return ChatChanged(id=event_id, at=at, change="migrated", **told)


def campaign_changed(row: Row, at: datetime) -> CampaignChanged:
    """Tell a campaign's state, with its sums of this moment."""
    return CampaignChanged(
        id=derived("campaign.changed", row["id"], row["version"]),
        at=at,
        campaign_id=row["id"],
        version=row["version"],
        status=row["status"],
        intended=row["length"],
        checksum=row["checksum"],
        reason=row["reason"],
        sent=row["sent"],
        failed=row["failed"],
        suppressed=row["suppressed"],
        ambiguous=row["ambiguous"],
    )
