"""Every event of the system: what is said, under which name and subject, and by which derived id.

Names on the wire are data and never change. Adding an optional field is always allowed; anything else is
a new class with a new subject. `tests/contracts/events/` keeps a sample of every event ever shipped.
"""

from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from shared import ids


class Channel(StrEnum):
    """A way to reach somebody."""

    TELEGRAM = "telegram"
    EMAIL = "email"
    PUSH = "push"


class Lane(StrEnum):
    """A class of urgency; the first is served first."""

    TRANSACTIONAL = "transactional"
    PROMO = "promo"
    CAMPAIGN = "campaign"


class State(StrEnum):
    """What is known of a delivery or a message; a claimed delivery counts as pending."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    AMBIGUOUS = "ambiguous"


EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)

Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, lt=LATEST)]
"""A time that others may name: one that there is in every time zone, and that PostgreSQL keeps as it is."""


class Value(BaseModel):
    """A part of an event: immutable, and tolerant of fields it does not know yet."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Event(Value):
    """A fact: published once, under a derived id, to the one subject of its class.

    `id` is the event's id and its `Nats-Msg-Id`; `at` is when it happened (UTC).
    """

    name: ClassVar[str]
    """The name on the wire, in the header `Carillon-Event`."""
    pattern: ClassVar[str]
    """The NATS subject pattern that matches every event of the class."""

    id: UUID
    at: Moment

    def subject(self) -> str:
        """Return the subject that this event is published to."""
        return self.pattern


class Button(Value):
    """An inline button: exactly one of `url`, `data` (callback data) and `payload` (a promo's deep link).

    A `payload` becomes callback data `p1.<payload>.<short delivery id>` when it is sent.
    """

    text: str
    url: str | None = None
    data: str | None = None
    payload: str | None = None

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if sum(action is not None for action in (self.url, self.data, self.payload)) != 1:
            raise ValueError("a button has exactly one of url, data and payload")
        return self


class Person(Value):
    """A Telegram user as an update shows them."""

    telegram_id: int
    username: str | None = None
    first_name: str = ""
    last_name: str | None = None
    language: str | None = None
    is_bot: bool = False


# --- promos ---------------------------------------------------------------------------------------------


class PromoDue(Event):
    """A promo is to be posted to one chat, before `until`; a snapshot of everything the post shows.

    id: `promo_due_id(schedule_id, slot, chat_id)`, which is also the message's id in senders' ledger.
    """

    name = "promo.due"
    pattern = "promos.due"

    schedule_id: UUID
    slot: AwareDatetime
    promo_id: str
    payload: str | None = None
    bot: str
    chat_id: int
    text: str
    """MarkdownV2, as checked when the promo was saved."""
    button: Button | None = None
    until: AwareDatetime


class SlotSkipped(Event):
    """A slot passed without a post; id derived from (schedule, slot)."""

    name = "promo.slot_skipped"
    pattern = "promos.skipped"

    schedule_id: UUID
    slot: AwareDatetime
    reason: Literal["missed", "no_promo", "no_chats", "stopped"]


class PromoCancelled(Event):
    """Unsent posts of a schedule (of one promo of it, when given) due up to `up_to` are not to be sent."""

    name = "promo.cancelled"
    pattern = "promos.cancelled"

    schedule_id: UUID
    promo_id: str | None = None
    up_to: AwareDatetime
    reason: Literal["stopped", "disabled"]


# --- clicks ---------------------------------------------------------------------------------------------


class ClickSource(StrEnum):
    """How a press reached Carillon."""

    BUTTON = "button"
    DEEP_LINK = "deep_link"
    REDIRECT = "redirect"


class ButtonClicked(Event):
    """Somebody pressed a promo's button, or followed its link.

    id: `click_id(bot_id, update_id)`: one press delivered twice is one event, two presses are two. A link
    that passes by the gateway is told by nobody twice: its id is random.
    """

    name = "click.pressed"
    pattern = "clicks.pressed"

    source: ClickSource = ClickSource.BUTTON
    payload: str
    """The promo's deep link; of a redirect the promo's id, or empty for a link in a campaign's letter."""
    delivery_id: UUID | None = None
    """The delivery named by the callback data, as it came: clicks and senders check it."""
    bot: str
    bot_id: int
    update_id: int | None = None
    person: Person | None = None
    chat_id: int | None = None
    message_id: int | None = None
    cta_text: str | None = None
    metadata: dict[str, JsonValue] | None = None

    @property
    def user_id(self) -> UUID | None:
        """Carillon's id of who pressed."""
        return ids.user_of_telegram(self.person.telegram_id) if self.person else None


class ClickAnnotated(Event):
    """More is known of a press, for instance that a purchase followed.

    id: `click_annotation_id(click_id, cause)`. Keys of `metadata` are merged into the press's: of two
    annotations that name a key the later one (by time, then id) holds, in whatever order they come.
    """

    name = "click.annotated"
    pattern = "clicks.annotated"

    click_id: UUID
    metadata: dict[str, JsonValue]


# --- messages -------------------------------------------------------------------------------------------

Variable = str | int | float | bool | None
Text = Annotated[str, Field(max_length=32_768)]


class Address(Value):
    """A direct address, for a message to somebody outside the recipients' directory."""

    telegram_chat_id: int | None = None
    email: str | None = None


def _within_bounds(address: Address) -> Address:
    if address.telegram_chat_id is not None and not -(2**63) <= address.telegram_chat_id < 2**63:
        raise ValueError("expected a telegram_chat_id of 64 bits")
    if address.email is not None and len(address.email) > LONGEST_EMAIL:
        raise ValueError(f"expected an email of at most {LONGEST_EMAIL} characters")
    return address


LONGEST_EMAIL = 320
DirectAddress = Annotated[Address, AfterValidator(_within_bounds)]
"""An address that others may name: one that a database can keep, and find again by an index."""


class Body(Value):
    """A message written out by its requester, where no template is used."""

    text: Text
    format: Literal["plain", "markdown_v2"] = "plain"
    buttons: tuple[tuple[Button, ...], ...] = ()
    subject: str | None = None
    """E-mail's subject and push's title; a default is taken from the first line of the text."""


class MessageRequested(Event):
    """Somebody is to be told something.

    `id` is the message's id and idempotency key. `channels` is the fallback order; senders falls back to
    its default order when it is empty. Exactly one of `template` and `body` is given; `user_id`
    or `address` says to whom. `expires_at` is always there: an old request can never surprise anyone.
    """

    name = "message.requested"
    pattern = "messages.*.*"

    lane: Lane = Lane.TRANSACTIONAL
    channels: tuple[Channel, ...] = ()
    user_id: UUID | None = None
    address: DirectAddress | None = None
    bot: str | None = None
    template: str | None = None
    variables: dict[str, Variable] = {}
    body: Body | None = None
    sender: str | None = None
    """Whose letter it is, over e-mail: an address of EMAIL_SENDERS; the default one's otherwise."""
    reply_to_message_id: int | None = None
    edit_message_id: int | None = None
    not_before: Moment | None = None
    expires_at: Moment
    campaign_id: UUID | None = None
    campaign_position: int | None = None
    """Its place in the campaign's list, from which its id derives."""
    metadata: dict[str, JsonValue] = {}

    def subject(self) -> str:
        """Return `messages.<lane>.<first channel>`."""
        first = self.channels[0] if self.channels else DEFAULT_CHAIN[0]
        return f"messages.{self.lane}.{first}"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.template is None) == (self.body is None):
            raise ValueError("a message has exactly one of template and body")
        if self.user_id is None and self.address is None:
            raise ValueError("a message needs user_id or address")
        if self.lane is Lane.PROMO:
            raise ValueError("lane promo is for PromoDue; use transactional or campaign")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("channels names a channel twice")
        return self


DEFAULT_CHAIN = (Channel.PUSH, Channel.EMAIL, Channel.TELEGRAM)

# --- outcomes -------------------------------------------------------------------------------------------


class PromoRef(Value):
    """Which promo, of which slot, a delivery posted."""

    schedule_id: UUID
    slot: AwareDatetime
    promo_id: str
    payload: str | None = None


class Outcome(Event):
    """What became of one attempt of a delivery; id derived from (delivery, attempt, kind).

    In a projection sent always wins, otherwise the highest (attempt, rank) with ambiguous below failed
    and suppressed: order between outcomes does not matter.
    """

    kind: ClassVar[Literal["posted", "sent", "failed", "suppressed", "ambiguous"]]
    rank: ClassVar[int]
    state: ClassVar[State]

    message_id: UUID
    delivery_id: UUID
    channel: Channel
    lane: Lane
    attempt: int
    type: str
    """The template's name, `body`, or `promo`: bounded, for labels."""
    user_id: UUID | None = None
    campaign_id: UUID | None = None
    promo: PromoRef | None = None
    bot: str | None = None
    chat_id: int | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    """A word of a bounded set (`blocked`, `expired`, `no_address`…), never text from outside."""
    last: bool = True
    """False when another channel of the chain follows."""
    possible_duplicate: bool = False

    def subject(self) -> str:
        """Return `outcomes.<kind>.<channel>`."""
        return f"outcomes.{self.kind}.{self.channel}"


class PromoPosted(Outcome):
    """A promo is in its chat."""

    name = "promo.posted"
    pattern = "outcomes.posted.*"
    kind = "posted"
    rank = 3
    state = State.SENT


class MessageSent(Outcome):
    """The provider took the message."""

    name = "message.sent"
    pattern = "outcomes.sent.*"
    kind = "sent"
    rank = 3
    state = State.SENT


class MessageFailed(Outcome):
    """The message, or this channel of its chain, failed for good."""

    name = "message.failed"
    pattern = "outcomes.failed.*"
    kind = "failed"
    rank = 2
    state = State.FAILED


class MessageSuppressed(Outcome):
    """The message was not sent, on purpose."""

    name = "message.suppressed"
    pattern = "outcomes.suppressed.*"
    kind = "suppressed"
    rank = 2
    state = State.SUPPRESSED


class MessageAmbiguous(Outcome):
    """The provider may have taken the message; nobody can tell."""

    name = "message.ambiguous"
    pattern = "outcomes.ambiguous.*"
    kind = "ambiguous"
    rank = 1
    state = State.AMBIGUOUS


CampaignStatus = Literal["draft", "scheduled", "running", "paused", "done", "cancelled", "failed"]


class CampaignChanged(Event):
    """A campaign's state is another; id derived from (campaign, version).

    The sums are those of the moment in which it was told, and final but for presses that settle a doubt.
    """

    name = "campaign.changed"
    pattern = "campaigns.changed"

    campaign_id: UUID
    version: int
    status: CampaignStatus
    intended: int
    checksum: str
    """SHA-256 over what is sent and to whom, so that the list in senders' tables can be believed."""
    reason: str | None = None
    """Why it failed: a word of a bounded set (`empty`, `expired`, `nobody_reached`)."""
    sent: int | None = None
    failed: int | None = None
    suppressed: int | None = None
    ambiguous: int | None = None


# --- updates --------------------------------------------------------------------------------------------


class UpdateReceived(Event):
    """Telegram told a bot something other than a press on a promo's button.

    id: `update_id_of(bot_id, update_id)`.
    """

    name = "update.received"
    pattern = "updates.*"

    bot: str
    bot_id: int
    update_id: int
    kind: str
    """The update's field (`message`, `callback_query`…) if the gateway knows it, else `other`."""
    update: dict[str, Any]

    def subject(self) -> str:
        """Return `updates.<bot id>`."""
        return f"updates.{self.bot_id}"


class UpdateHandled(Event):
    """A bot has done what an update asked for; id: `update_handled_id(bot_id, update_id)`."""

    name = "update.handled"
    pattern = "handled.*"

    bot_id: int
    update_id: int
    status: Literal["handled", "ignored", "refused", "failed", "expired"]
    command: str | None = None
    error: str | None = None
    """An error's id, never its text."""
    handling_seconds: float

    def subject(self) -> str:
        """Return `handled.<bot id>`."""
        return f"handled.{self.bot_id}"


# --- recipients -----------------------------------------------------------------------------------------


class PushSubscription(Value):
    """A browser's subscription (RFC 8030, 8291): an endpoint and its keys in base64url."""

    endpoint: str
    p256dh: str
    auth: str


class QuietHours(Value):
    """When somebody is not to be disturbed: from `start` to `end`, by the clocks of a time zone.

    Where `end` is before `start` the night lies between them. Without a `zone` the recipient's own counts,
    else UTC.
    """

    start: time
    end: time
    zone: str | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.start == self.end:
            raise ValueError("quiet hours end at another time than they start")
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("quiet hours name their time zone in zone")
        return self


class RecipientChanged(Event):
    """The whole new state of a recipient; id derived from (user, version)."""

    name = "recipient.changed"
    pattern = "recipients.changed.*"

    user_id: UUID
    version: int
    has_email: bool = False
    """Addresses themselves stay in senders."""
    telegram_chat_id: int | None = None
    push_subscriptions: int = 0
    language: str | None = None
    time_zone: str | None = None
    role: str | None = None
    opted_out: bool = False
    muted: tuple[Channel, ...] = ()
    channel_order: tuple[Channel, ...] = ()
    quiet_hours: QuietHours | None = None
    telegram_id: int | None = None
    """The Telegram user who was linked with this user, if one was."""
    linked_to: UUID | None = None
    """The user that this one, met through a bot, is the same person as: everything of his is there."""

    def subject(self) -> str:
        """Return `recipients.changed.<user>`."""
        return f"recipients.changed.{self.user_id}"


class RecipientForgotten(Event):
    """Somebody is to be forgotten: whoever keeps something of this user's lets go of it.

    id derived from (user, version); `version` is above that of every RecipientChanged before it, and what
    comes after it is somebody new. One is published for each id that the person was known by.
    """

    name = "recipient.forgotten"
    pattern = "recipients.forgotten.*"

    user_id: UUID
    version: int

    def subject(self) -> str:
        """Return `recipients.forgotten.<user>`."""
        return f"recipients.forgotten.{self.user_id}"


class ChatChanged(Event):
    """A chat blocked, unblocked, left or migrated; id derived from its natural key."""

    name = "chat.changed"
    pattern = "chats.changed.*"

    bot: str
    chat_id: int
    change: Literal["blocked", "unblocked", "kicked", "added", "migrated"]
    new_chat_id: int | None = None

    def subject(self) -> str:
        """Return `chats.changed.<chat>`."""
        return f"chats.changed.{self.chat_id}"


ALL: tuple[type[Event], ...] = (
    PromoDue, SlotSkipped, PromoCancelled,
    ButtonClicked, ClickAnnotated,
    MessageRequested,
    PromoPosted, MessageSent, MessageFailed, MessageSuppressed, MessageAmbiguous, CampaignChanged,
    UpdateReceived, UpdateHandled,
    RecipientChanged, RecipientForgotten, ChatChanged,
)  # fmt: skip
"""Every event there is."""

OUTCOMES: tuple[type[Outcome], ...] = (
    PromoPosted, MessageSent, MessageFailed, MessageSuppressed, MessageAmbiguous,
)  # fmt: skip


def schedule_id_of(name: str) -> UUID:
    """Return the id of the schedule of that name."""
    return ids.derived("schedule", name)


def promo_due_id(schedule_id: UUID, slot: datetime, chat_id: int) -> UUID:
    """Return the id of the post of a slot to a chat."""
    return ids.derived("promo.due", schedule_id, slot, chat_id)


def click_id(bot_id: int, update_id: int) -> UUID:
    """Return the id of a press, from the update that told of it."""
    return ids.derived("click.pressed", bot_id, update_id)


def click_annotation_id(click: UUID, cause: UUID) -> UUID:
    """Return the id of an annotation, from the press and the command that asked for it."""
    return ids.derived("click.annotated", click, cause)


def update_id_of(bot_id: int, update_id: int) -> UUID:
    """Return the id of an update."""
    return ids.derived("update.received", bot_id, update_id)


def update_handled_id(bot_id: int, update_id: int) -> UUID:
    """Return the id of what tells that an update is handled."""
    return ids.derived("update.handled", bot_id, update_id)


def campaign_item_id(campaign_id: UUID, position: int) -> UUID:
    """Return the id of the message to one entry of a campaign's list."""
    return ids.derived("campaign.item", campaign_id, position)


def outcome_id(delivery_id: UUID, attempt: int, kind: str) -> UUID:
    """Return the id of an outcome."""
    return ids.derived("outcome", delivery_id, attempt, kind)
