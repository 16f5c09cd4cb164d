"""One attempt to send: what goes out, to whom, and the answers that a channel can give."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.events import Button, Lane, PushSubscription

# --- what goes out --------------------------------------------------------------------------------------
# Addresses and texts stay out of repr: an item may be logged, what it says and to whom may not.


@dataclass(frozen=True)
class TelegramTarget:
    """A chat, by its 64-bit id."""

    chat_id: int


@dataclass(frozen=True)
class EmailTarget:
    """A mailbox, as `local@domain`."""

    address: str = field(repr=False)


@dataclass(frozen=True)
class PushTarget:
    """A browser, by its subscription."""

    subscription: PushSubscription = field(repr=False)


@dataclass(frozen=True)
class TelegramContent:
    """A rendered Telegram message; `edit` is the id of the message it replaces, `reply_to` answers one."""

    text: str = field(repr=False)
    parse_mode: Literal["MarkdownV2"] | None = None
    buttons: tuple[tuple[Button, ...], ...] = ()
    reply_to: int | None = None
    edit: int | None = None


@dataclass(frozen=True)
class EmailContent:
    """A rendered e-mail; `unsubscribe_url` is a campaign's one-click address, `sender` whose letter it is."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str | None = field(default=None, repr=False)
    unsubscribe_url: str | None = field(default=None, repr=False)
    sender: str | None = None


@dataclass(frozen=True)
class PushContent:
    """A rendered notification; without a `topic` the delivery's id is the topic, so a repeat replaces it."""

    title: str = field(repr=False)
    body: str = field(repr=False)
    icon: str | None = None
    badge: str | None = None
    url: str | None = None
    urgency: Literal["very-low", "low", "normal", "high"] = "normal"
    topic: str | None = None


Target = TelegramTarget | EmailTarget | PushTarget
Content = TelegramContent | EmailContent | PushContent


@dataclass(frozen=True)
class Outgoing:
    """One numbered attempt of a delivery; target and content are of the channel that sends it."""

    delivery_id: UUID
    attempt: int
    lane: Lane
    bot: str | None
    to: Target
    content: Content
    expires_at: datetime


# --- what comes back ------------------------------------------------------------------------------------

Refusal = Literal[
    "blocked",
    "kicked",
    "deactivated",
    "chat_not_found",
    "recipient_refused",
    "bounced",
    "expired_subscription",
    "foreign_subscription",
    "too_large",
    "invalid",
    "rejected",
]
Wait = Literal["throttled", "no_effect", "greylisted", "down"]
Halt = Literal["unauthorized", "not_found", "authentication", "vapid"]
Doubt = Literal["timeout", "connection_lost", "server_error"]


@dataclass(frozen=True)
class Sent:
    """The provider took the message, under this id."""

    provider_message_id: str


@dataclass(frozen=True)
class Refused:
    """The provider will never take it; `suppresses` says that it will take nothing else to this address."""

    reason: Refusal
    suppresses: bool = False


@dataclass(frozen=True)
class Later:
    """Nothing happened; try again after `seconds`, or when the policy of its kind says so."""

    seconds: float | None
    kind: Wait


@dataclass(frozen=True)
class Stopped:
    """Nothing happened, and nothing will until a person mends our credentials.

    `alone`: perhaps it is only this recipient, so that nobody else has to wait.
    """

    reason: Halt
    alone: bool = False


@dataclass(frozen=True)
class Ambiguous:
    """The provider may have taken the message; nobody can tell."""

    reason: Doubt


@dataclass(frozen=True)
class Migrated:
    """Nothing happened: the chat lives on under another id."""

    new_chat_id: int


Answer = Sent | Refused | Later | Stopped | Ambiguous | Migrated
