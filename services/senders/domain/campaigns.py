"""Campaigns as arithmetic: who is the same recipient, what a list comes to, how long it will take."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from services.senders.domain.limits import Limits
from shared.events import Channel
from shared.ids import derived
from shared.queries import CampaignRecipient, CreateCampaign

MOST_RECIPIENTS = 1_000_000
VALID = timedelta(hours=72)
"""How long a campaign is valid from its start, unless it says otherwise."""
UNLIMITED_PER_SECOND = 200.0
"""What is reckoned with where no limit is kept."""
TELLING_SECONDS = 5.0
"""A campaign that has run for less tells nothing of its pace."""

_CONTENT = ("channels", "bot", "template", "body", "variables")


def key_of(recipient: CampaignRecipient) -> UUID:
    """Return what is the same for two entries of a list that reach the same recipient."""
    if recipient.user_id is not None or recipient.address is None:
        return recipient.user_id or derived("nobody")
    address = recipient.address
    email = address.email.casefold() if address.email else None
    return derived("campaign.recipient", address.telegram_chat_id, email)


def fingerprint(command: CreateCampaign) -> str:
    """Return what tells one command to create a campaign from another under the same id."""
    said = command.model_dump(mode="json", exclude={"campaign_id", "expires_at"})
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def checksum(campaign: Mapping[Any, Any]) -> str:
    """Return the SHA-256 of what a campaign says, and of the length and the sum of its list."""
    content = {name: campaign[name] for name in _CONTENT}
    if campaign["sender"] is not None:
        content["sender"] = campaign["sender"]
    said = [content, campaign["intended"], str(int(campaign["list_sum"]))]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True)
class Share:
    """How many of a list a channel will reach first; `most` of them share one bot, or one mail domain."""

    channel: Channel
    recipients: int
    most: int


def predicted(shares: Iterable[Share], limits: Limits) -> float:
    """Return how many seconds the sends take by the limits; channels work side by side."""
    return max((_seconds(share, limits) for share in shares), default=0.0)


def _seconds(share: Share, limits: Limits) -> float:
    if not limits.on or share.channel is Channel.PUSH:
        return share.recipients / UNLIMITED_PER_SECOND
    if share.channel is Channel.TELEGRAM:
        return share.most * limits.bot("").interval
    return max(share.recipients * limits.email().interval, share.most * limits.domain("").interval)


def elapsed(campaign: Mapping[Any, Any], now: datetime) -> float | None:
    """Return for how many seconds a campaign has run, pauses left out; None when it never began."""
    if campaign["started_at"] is None:
        return None
    since = campaign["running_since"]
    return float(campaign["active_seconds"]) + ((now - since).total_seconds() if since else 0.0)


def remaining(
    *, intended: int, pending: int, seconds: float | None, predicted_seconds: float | None
) -> float | None:
    """Return how many seconds what is pending will take: by the pace so far, else by the prediction."""
    ended = intended - pending
    if seconds is not None and seconds >= TELLING_SECONDS and ended > 0:
        return seconds * pending / ended
    return predicted_seconds * pending / intended if predicted_seconds is not None and intended else None
