"""Every question and command that one service asks another by request-reply, with its answer.

A query goes to `ask.<service>.<name>`, where the replicas of the service share a queue group, so that one
of them answers. Commands carry `cause`, the id of what caused them, as idempotency key. What cannot be
answered is a `Refusal`; what is not answered in time is `NoAnswer` (both in `shared.bus`).
"""

from typing import Annotated, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue

from shared.events import (
    Body,
    Button,
    CampaignStatus,
    Channel,
    ClickSource,
    DirectAddress,
    Lane,
    Moment,
    PushSubscription,
    QuietHours,
    State,
    Value,
    Variable,
)

ReplyT = TypeVar("ReplyT", bound=Value)


class Query(Value, Generic[ReplyT]):
    """A question to a service; `reply` is the class of its answer."""

    service: ClassVar[str]
    name: ClassVar[str]
    reply: ClassVar[type[Value]]

    @classmethod
    def subject(cls) -> str:
        """Return the NATS subject that the question is asked on."""
        return f"ask.{cls.service}.{cls.name}"


# --- the record -----------------------------------------------------------------------------------------


class AuditLine(Value):
    """A sum from both sides; `difference` counts what one side has and the other has not, or differently."""

    name: str
    stream: int
    tables: int
    difference: int
    note: str = ""


class Books(Value):
    """A service's part of an audit."""

    lines: tuple[AuditLine, ...]


class AuditScheduler(Query[Books]):
    """Ask scheduler to compare its tables with the streams up to `cut`, a sequence per stream."""

    service = "scheduler"
    name = "audit"
    reply = Books

    cut: dict[str, int]


class AuditClicks(Query[Books]):
    """Ask clicks to compare its tables with the streams up to `cut`, a sequence per stream."""

    service = "clicks"
    name = "audit"
    reply = Books

    cut: dict[str, int]


class AuditSenders(Query[Books]):
    """Ask senders to compare its tables with the streams up to `cut`, a sequence per stream."""

    service = "senders"
    name = "audit"
    reply = Books

    cut: dict[str, int]


class AuditGateway(Query[Books]):
    """Ask gateway to compare its tables with the streams up to `cut`, a sequence per stream."""

    service = "gateway"
    name = "audit"
    reply = Books

    cut: dict[str, int]


class Kept(Value):
    """What a service has written down for good, by stream and sequence: its events may go."""

    cut: dict[str, int]


class KeepScheduler(Query[Kept]):
    """Have scheduler write down what it needs of events up to `cut`, stored by `before`: they will go."""

    service = "scheduler"
    name = "keep"
    reply = Kept

    cut: dict[str, int]
    before: dict[str, AwareDatetime]


class KeepClicks(Query[Kept]):
    """Have clicks write down what it needs of events up to `cut`, stored by `before`: they will go."""

    service = "clicks"
    name = "keep"
    reply = Kept

    cut: dict[str, int]
    before: dict[str, AwareDatetime]


class KeepSenders(Query[Kept]):
    """Have senders write down what it needs of events up to `cut`, stored by `before`: they will go."""

    service = "senders"
    name = "keep"
    reply = Kept

    cut: dict[str, int]
    before: dict[str, AwareDatetime]


class KeepGateway(Query[Kept]):
    """Have gateway write down what it needs of events up to `cut`, stored by `before`: they will go."""

    service = "gateway"
    name = "keep"
    reply = Kept

    cut: dict[str, int]
    before: dict[str, AwareDatetime]


# --- scheduler ------------------------------------------------------------------------------------------


ChatId = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Slug = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]
ScheduleName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,30}$")]
"""Shorter than any way to write an id, so that either can stand in its place."""
Payload = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,32}$")]
TextFormat = Literal["plain", "markdown_v2"]


class ScheduleView(Value):
    """A schedule as others see it; times are UTC, `next_run` is null while it is stopped.

    It has an interval or a cron expression; `promo_ids` are those that it takes turns with today.
    """

    id: UUID
    active: bool
    bot: str
    interval_seconds: float | None = None
    time_zone: str
    chat_ids: tuple[int, ...]
    promo_ids: tuple[str, ...]
    activated_at: AwareDatetime | None = None
    last_run: AwareDatetime | None = None
    next_run: AwareDatetime | None = None
    name: str = ""
    status: Literal["not_scheduled", "scheduled", "paused"] | None = None
    cron: str | None = None
    validity_seconds: float | None = None
    all_promos: bool = True
    """Whether it takes every enabled promo of the catalogue, instead of a set of its own."""
    paused_until: AwareDatetime | None = None
    edited: bool = False
    """Whether somebody has edited it: the default schedule follows its settings until then."""


class ScheduleChanged(Value):
    """What a start or stop did: `changed` is false when it was so already."""

    changed: bool
    schedule: ScheduleView


class StartSchedule(Query[ScheduleChanged]):
    """Activate a schedule (the default one when no id is given) and post its first promo at once.

    `asked_at` is when it was asked for, now unless it is told: whatever was asked for later stays.
    """

    service = "scheduler"
    name = "start_schedule"
    reply = ScheduleChanged

    cause: UUID
    schedule_id: UUID | None = None
    asked_at: AwareDatetime | None = None


class StopSchedule(Query[ScheduleChanged]):
    """Stop a schedule and cancel what is due and unsent; `asked_at` as in StartSchedule."""

    service = "scheduler"
    name = "stop_schedule"
    reply = ScheduleChanged

    cause: UUID
    schedule_id: UUID | None = None
    asked_at: AwareDatetime | None = None


class ScheduleIn(Value):
    """What may be said of a schedule; in an edit, null leaves a value as it is.

    `chats` are ids, or @names of public chats, which are resolved as `bot` sees them when it is saved. An
    interval takes the place of a cron expression, and the other way round. `promo_ids` are a set of its own,
    `all_promos` true goes back to the whole catalogue.
    """

    bot: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    interval_seconds: Annotated[float, Field(ge=1, le=315_360_000, allow_inf_nan=False)] | None = None
    cron: Annotated[str, Field(max_length=255)] | None = None
    time_zone: Annotated[str, Field(max_length=64)] | None = None
    chats: (
        Annotated[tuple[ChatId | Annotated[str, Field(max_length=64)], ...], Field(max_length=1000)] | None
    ) = None
    promo_ids: Annotated[tuple[Slug, ...], Field(max_length=1000)] | None = None
    all_promos: bool | None = None
    validity_seconds: Annotated[float, Field(ge=0.001, le=315_360_000, allow_inf_nan=False)] | None = None


class CreateSchedule(Query[ScheduleView]):
    """Add a schedule, stopped; its id is derived from its name. Refused with 409 where there is one."""

    service = "scheduler"
    name = "create_schedule"
    reply = ScheduleView

    cause: UUID
    schedule_name: ScheduleName
    schedule: ScheduleIn


class EditSchedule(Query[ScheduleView]):
    """Change a schedule (the default one when no id is given); what is due already is posted as it was."""

    service = "scheduler"
    name = "edit_schedule"
    reply = ScheduleView

    cause: UUID
    schedule_id: UUID | None = None
    schedule: ScheduleIn


class Removed(Value):
    """What is gone."""

    id: str


class DeleteSchedule(Query[Removed]):
    """Remove a schedule and cancel what is unsent; the default one is refused with 409."""

    service = "scheduler"
    name = "delete_schedule"
    reply = Removed

    cause: UUID
    schedule_id: UUID


class PauseSchedule(Query[ScheduleChanged]):
    """Cancel what is unsent and post nothing before `until`; null ends a pause. 409 while it is stopped."""

    service = "scheduler"
    name = "pause_schedule"
    reply = ScheduleChanged

    cause: UUID
    schedule_id: UUID | None = None
    until: Moment | None = None


class GetSchedule(Query[ScheduleView]):
    """Ask for the status of a schedule (the default one when no id is given)."""

    service = "scheduler"
    name = "get_schedule"
    reply = ScheduleView

    schedule_id: UUID | None = None


class PlannedPost(Value):
    """What one slot would post, or why it would not."""

    schedule_id: UUID
    schedule: str
    slot: AwareDatetime
    until: AwareDatetime | None = None
    chat_ids: tuple[int, ...] = ()
    promo_id: str | None = None
    text: str | None = None
    """MarkdownV2."""
    plain: str | None = None
    """The text as it is shown, without its marks."""
    button: Button | None = None
    skipped: str | None = None


class Plan(Value):
    """Slots in the order of their times; `assumed_start` says of a stopped schedule that none is real."""

    items: tuple[PlannedPost, ...]
    assumed_start: AwareDatetime | None = None
    complete: bool = True
    """False when there are more before `until` than were asked for."""


class PlanSlots(Query[Plan]):
    """Ask what the next slots would post, of a schedule or of all that are active, as things are now.

    A stopped schedule that is named is taken as if it were started now.
    """

    service = "scheduler"
    name = "plan_slots"
    reply = Plan

    schedule_id: UUID | None = None
    until: Moment | None = None
    limit: int = Field(default=20, ge=1, le=500)


class ScheduleList(Value):
    """All schedules."""

    items: tuple[ScheduleView, ...]


class ListSchedules(Query[ScheduleList]):
    """Ask for the status of every schedule."""

    service = "scheduler"
    name = "list_schedules"
    reply = ScheduleList


class PromoView(Value):
    """A promo of the catalogue."""

    id: str
    title: str
    cta_text: str
    payload: str | None = None
    url: str | None = None
    enabled: bool
    position: int
    description: str = ""
    format: TextFormat = "plain"
    template: str | None = None
    variables: dict[str, Variable] = {}
    text: str = ""
    """MarkdownV2, as it is posted."""


class PromoIn(Value):
    """What may be said of a promo; in an edit, null leaves a value as it is.

    Exactly one of `payload` and `url` (https) says where its button leads; the one takes the place of the
    other. So do `template` (with `variables`, which are escaped) and `description`.
    """

    title: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    cta_text: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    payload: Payload | None = None
    url: Annotated[str, Field(max_length=2048)] | None = None
    description: Annotated[str, Field(max_length=32_768)] | None = None
    format: TextFormat | None = None
    template: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    variables: dict[str, Variable] | None = None
    enabled: bool | None = None
    position: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class CreatePromo(Query[PromoView]):
    """Add a promo; refused with 409 where its id or payload is taken, with 422 where Telegram would."""

    service = "scheduler"
    name = "create_promo"
    reply = PromoView

    cause: UUID
    promo_id: Slug
    promo: PromoIn


class EditPromo(Query[PromoView]):
    """Change a promo; one that is disabled by it has what is unsent cancelled. Refused as CreatePromo."""

    service = "scheduler"
    name = "edit_promo"
    reply = PromoView

    cause: UUID
    promo_id: Slug
    promo: PromoIn


class DeletePromo(Query[Removed]):
    """Remove a promo and cancel what is unsent; refused with 409 while a schedule's own set names it."""

    service = "scheduler"
    name = "delete_promo"
    reply = Removed

    cause: UUID
    promo_id: Slug


class GetPromo(Query[PromoView]):
    """Ask for a promo; refused with 404 where there is none."""

    service = "scheduler"
    name = "get_promo"
    reply = PromoView

    promo_id: Slug


class PromoPreview(Value):
    """A promo as it would be posted: MarkdownV2, what Telegram shows of it, and the button below."""

    text: str
    plain: str
    entities: tuple[dict[str, JsonValue], ...] = ()
    """The Bot API's entities of `plain`."""
    button: Button


class PreviewPromo(Query[PromoPreview]):
    """Ask how a promo would look, or what `promo` would make of it (of a new one when no id is given)."""

    service = "scheduler"
    name = "preview_promo"
    reply = PromoPreview

    promo_id: Slug | None = None
    promo: PromoIn | None = None


class PromoList(Value):
    """The catalogue in its order."""

    items: tuple[PromoView, ...]


class ListPromos(Query[PromoList]):
    """Ask for the catalogue."""

    service = "scheduler"
    name = "list_promos"
    reply = PromoList


class ReorderPromos(Query[PromoList]):
    """Put these promos first, in this order; the others keep theirs behind."""

    service = "scheduler"
    name = "reorder_promos"
    reply = PromoList

    cause: UUID
    promo_ids: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=1000)]


class PromoLogChat(Value):
    """What became of one slot in one chat."""

    chat_id: int
    state: State
    provider_message_id: str | None = None
    reason: str | None = None


class PromoLogEntry(Value):
    """One slot: what was posted where; `skipped` says why nothing was due."""

    schedule_id: UUID
    slot: AwareDatetime
    promo_id: str | None
    intended: int
    posted: int
    failed: int
    suppressed: int
    ambiguous: int
    pending: int
    chats: tuple[PromoLogChat, ...]
    skipped: str | None = None
    created_at: AwareDatetime


class PromoLogPage(Value):
    """Slots, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[PromoLogEntry, ...]
    cursor: str | None = None


class ListPromoLog(Query[PromoLogPage]):
    """Ask for the promo log, by promo and time."""

    service = "scheduler"
    name = "list_promo_log"
    reply = PromoLogPage

    promo_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


class PromoPosts(Value):
    """What became of a promo: slots that showed it, and its posts; `reach` counts its chats.

    intended = posted + failed + suppressed + ambiguous + pending.
    """

    promo_id: str
    slots: int
    intended: int
    posted: int
    failed: int
    suppressed: int
    ambiguous: int
    pending: int
    reach: int


class PromoPostsList(Value):
    """Sums per promo, and how many slots were skipped, by reason."""

    items: tuple[PromoPosts, ...]
    skipped: dict[str, int] = {}


class CountPosts(Query[PromoPostsList]):
    """Ask for the sums of one promo, or of all, over slots from `since` on and before `until`."""

    service = "scheduler"
    name = "count_posts"
    reply = PromoPostsList

    promo_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None


# --- clicks ---------------------------------------------------------------------------------------------


class ClickView(Value):
    """One press."""

    id: UUID
    user_id: UUID | None
    promo_id: str | None
    """Null for a link in a campaign's letter: `metadata` has its `campaign_id`."""
    cta_text: str | None
    chat_id: int | None
    message_id: int | None
    source: ClickSource
    metadata: dict[str, JsonValue] | None
    clicked_at: AwareDatetime


class ClickPage(Value):
    """Presses, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[ClickView, ...]
    cursor: str | None = None


class ListClicks(Query[ClickPage]):
    """Ask for the presses of a user or of a promo, from `since` on and before `until`.

    `also` are other ids of the same user: that of the Telegram user who is linked with them.
    """

    service = "clicks"
    name = "list_clicks"
    reply = ClickPage

    user_id: UUID | None = None
    also: tuple[UUID, ...] = Field(default=(), max_length=10)
    promo_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


class PromoClicks(Value):
    """A promo's sums: button and redirect presses; deep links are a series of their own.

    `ctr` is clicks per post; it and `conversion_rate` are 0 where there is nothing to divide by.
    """

    promo_id: str
    clicks: int
    unique_users: int
    conversion_rate: float
    deep_links: int
    posts: int
    completed: int = 0
    ctr: float = 0.0


class PromoClicksList(Value):
    """Sums per promo."""

    items: tuple[PromoClicks, ...]


class CountClicks(Query[PromoClicksList]):
    """Ask for the sums of one promo, or of all, over presses and posts from `since` on and before `until`."""

    service = "clicks"
    name = "count_clicks"
    reply = PromoClicksList

    promo_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None


class PostClicks(Value):
    """A posted message and its presses."""

    delivery_id: UUID
    promo_id: str
    schedule_id: UUID
    slot: AwareDatetime
    bot: str | None
    chat_id: int | None
    message_id: int | None
    posted_at: AwareDatetime
    clicks: int
    unique_users: int


class PostClicksPage(Value):
    """Posted messages, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[PostClicks, ...]
    cursor: str | None = None


class ListPostClicks(Query[PostClicksPage]):
    """Ask for the posted messages of a promo or of a schedule, posted from `since` on and before `until`."""

    service = "clicks"
    name = "list_post_clicks"
    reply = PostClicksPage

    promo_id: str | None = None
    schedule_id: UUID | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


class ClicksPoint(Value):
    """The sums of one hour or day, from `start` to the next point's."""

    start: AwareDatetime
    clicks: int
    unique_users: int
    completed: int
    deep_links: int
    posts: int


class ClicksSeries(Value):
    """A point for every hour or day, oldest first, also where nothing was pressed; times in the zone."""

    items: tuple[ClicksPoint, ...]


class GetClicksSeries(Query[ClicksSeries]):
    """Ask for presses over time, of one promo or of all, by the hours or days of a time zone.

    The first point is the hour or day that `since` lies in, the last the one before `until`; refused with
    422 when these are more than 2,000.
    """

    service = "clicks"
    name = "get_clicks_series"
    reply = ClicksSeries

    promo_id: str | None = None
    since: Moment
    until: Moment
    by: Literal["hour", "day"] = "day"
    time_zone: str = "UTC"


class AnnotateClick(Query[ClickView]):
    """Merge metadata into a press's, key by key; refused with 404 where there is no such press."""

    service = "clicks"
    name = "annotate_click"
    reply = ClickView

    cause: UUID
    click_id: UUID
    metadata: dict[str, JsonValue] = Field(min_length=1, max_length=50)


# --- senders --------------------------------------------------------------------------------------------


class TemplateView(Value):
    """A template and the variables that each of its channels requires."""

    name: str
    required: dict[Channel, tuple[str, ...]]


class TemplateList(Value):
    """All templates of senders, and the addresses that a letter may name as its sender where that is told."""

    items: tuple[TemplateView, ...]
    senders: tuple[str, ...] | None = None


class ListTemplates(Query[TemplateList]):
    """Ask which templates there are."""

    service = "senders"
    name = "list_templates"
    reply = TemplateList


class ChatView(Value):
    """A chat as a bot sees it."""

    chat_id: int
    type: str
    title: str | None = None
    username: str | None = None


class ResolveChat(Query[ChatView]):
    """Ask Telegram which chat has an @name; refused with 404 where none has, 503 where it cannot tell now."""

    service = "senders"
    name = "resolve_chat"
    reply = ChatView

    bot: str | None = None
    chat: Annotated[str, Field(pattern="^@[A-Za-z0-9_]{1,64}$")]


class AttemptView(Value):
    """One step in a message's history."""

    channel: Channel
    attempt: int
    state: State
    reason: str | None = None
    provider_message_id: str | None = None
    at: AwareDatetime


class DeliveryView(Value):
    """A message over one channel."""

    id: UUID
    channel: Channel
    state: State
    attempts: int
    reason: str | None = None
    provider_message_id: str | None = None
    due_at: AwareDatetime | None = None
    updated_at: AwareDatetime


class MessageView(Value):
    """A message: its state, its deliveries in the order of the chain, and its history."""

    id: UUID
    lane: Lane
    state: State
    reason: str | None = None
    user_id: UUID | None = None
    template: str | None = None
    campaign_id: UUID | None = None
    possible_duplicate: bool = False
    created_at: AwareDatetime
    expires_at: AwareDatetime
    deliveries: tuple[DeliveryView, ...]
    history: tuple[AttemptView, ...]


class GetMessage(Query[MessageView]):
    """Ask what became of a message; refused with 404 while senders does not know it."""

    service = "senders"
    name = "get_message"
    reply = MessageView

    message_id: UUID


class DoubtView(Value):
    """A delivery that the provider may have taken."""

    id: UUID
    message_id: UUID
    channel: Channel
    lane: Lane
    user_id: UUID | None = None
    campaign_id: UUID | None = None
    attempts: int
    reason: str | None = None
    updated_at: AwareDatetime


class DoubtPage(Value):
    """Deliveries in doubt, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[DoubtView, ...]
    cursor: str | None = None


class ListMessages(Query[DoubtPage]):
    """Ask which messages are in a state; only those in doubt are listed so far."""

    service = "senders"
    name = "list_messages"
    reply = DoubtPage

    state: Literal[State.AMBIGUOUS]
    campaign_id: UUID | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


class MessageCancelled(Value):
    """What a cancellation did; from then on nothing more is sent.

    `state` is null while senders does not know the message yet, and pending while it is being sent.
    """

    id: UUID
    state: State | None = None


class CancelMessage(Query[MessageCancelled]):
    """Cancel what is unsent of a message; refused with 409 when it has ended otherwise."""

    service = "senders"
    name = "cancel_message"
    reply = MessageCancelled

    cause: UUID
    message_id: UUID


class RecipientView(Value):
    """A recipient; `version` rises with every change."""

    user_id: UUID
    version: int
    email: str | None = None
    telegram_chat_id: int | None = None
    bot: str | None = None
    push_subscriptions: tuple[PushSubscription, ...] = ()
    language: str | None = None
    time_zone: str | None = None
    role: str | None = None
    opted_out: bool = False
    muted: tuple[Channel, ...] = ()
    """Channels that nothing goes over, unless a message names the address itself."""
    channel_order: tuple[Channel, ...] = ()
    """The order of channels for messages that bring none of their own; empty: the default one."""
    quiet_hours: QuietHours | None = None
    telegram_id: int | None = None
    """The Telegram user who is linked with this user."""
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None


class GetRecipient(Query[RecipientView]):
    """Ask for a recipient; refused with 404 where there is none.

    Of a Telegram user who is linked, the one that he is linked with is shown.
    """

    service = "senders"
    name = "get_recipient"
    reply = RecipientView

    user_id: UUID


class RecipientPage(Value):
    """Recipients, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[RecipientView, ...]
    cursor: str | None = None


class ListRecipients(Query[RecipientPage]):
    """Ask for the directory, or for those of a role, a language, a Telegram chat or an e-mail address."""

    service = "senders"
    name = "list_recipients"
    reply = RecipientPage

    role: str | None = None
    language: str | None = None
    email: str | None = None
    telegram_chat_id: ChatId | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


Clearable = Literal[
    "email", "telegram_chat_id", "bot", "language", "time_zone", "role", "channel_order", "quiet_hours",
]  # fmt: skip


class PutRecipient(Query[RecipientView]):
    """Create a recipient, or change the fields that are given (null leaves a field as it is).

    `clear` names fields that are to be empty. Like every command about recipients it works once: the same
    command again, with the same cause, changes nothing, whatever has come between.

    `at` is when its cause came about: who was forgotten since stays forgotten, and the reply shows nobody.
    """

    service = "senders"
    name = "put_recipient"
    reply = RecipientView

    cause: UUID
    user_id: UUID
    email: str | None = None
    telegram_chat_id: int | None = None
    bot: str | None = None
    language: str | None = None
    time_zone: str | None = None
    role: str | None = None
    opted_out: bool | None = None
    muted: tuple[Channel, ...] | None = None
    channel_order: tuple[Channel, ...] | None = None
    quiet_hours: QuietHours | None = None
    clear: tuple[Clearable, ...] = ()
    at: AwareDatetime | None = None


INTRODUCED_AT_ONCE = 100
"""So many people are introduced by one question at most."""


class Introduction(Value):
    """Somebody whom a bot has met, as they are now; null leaves a field of theirs as it is.

    `at` is when they were seen: who was forgotten since stays forgotten.
    """

    cause: UUID
    user_id: UUID
    telegram_chat_id: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    bot: str | None = None
    language: str | None = None
    role: str | None = None
    at: AwareDatetime | None = None


class Introduced(Value):
    """What became of an introduction: taken, or refused by an HTTP status, as a question of its own would be.

    One that is refused with 5xx may be taken later.
    """

    user_id: UUID
    status: int = 200
    title: str | None = None


class Introductions(Value):
    """What became of introductions, in their order."""

    items: tuple[Introduced, ...]


class IntroduceRecipients(Query[Introductions]):
    """Create or change many recipients, each as if put by itself, under the same cause."""

    service = "senders"
    name = "introduce_recipients"
    reply = Introductions

    people: Annotated[tuple[Introduction, ...], Field(max_length=INTRODUCED_AT_ONCE)]


class AddPushSubscription(Query[RecipientView]):
    """Add a browser's subscription to a recipient; an endpoint moves to its newest owner.

    `at` is when its cause came about: refused with 410 where the recipient was forgotten since.
    """

    service = "senders"
    name = "add_push_subscription"
    reply = RecipientView

    cause: UUID
    user_id: UUID
    subscription: PushSubscription
    at: AwareDatetime | None = None


class PushSubscriptionView(Value):
    """A browser's subscription as its owner may see it: without its keys."""

    id: UUID
    endpoint: str
    created_at: AwareDatetime
    last_success_at: AwareDatetime | None = None


class PushSubscriptionList(Value):
    """A recipient's subscriptions, oldest first."""

    items: tuple[PushSubscriptionView, ...]


class ListPushSubscriptions(Query[PushSubscriptionList]):
    """Ask for the browsers of a recipient; refused with 404 where there is none."""

    service = "senders"
    name = "list_push_subscriptions"
    reply = PushSubscriptionList

    user_id: UUID


class DeletePushSubscription(Query[RecipientView]):
    """Take a subscription from a recipient, by its id or its endpoint; refused with 404 without it."""

    service = "senders"
    name = "delete_push_subscription"
    reply = RecipientView

    cause: UUID
    user_id: UUID
    subscription_id: UUID | None = None
    endpoint: str | None = None


class LinkUser(Query[RecipientView]):
    """Say that a user of the API is a Telegram user: from then on both ids mean one recipient.

    Addresses are merged and consent is united in the stricter sense. Refused with 409 where either is linked
    with somebody else, or the user has another Telegram chat.
    """

    service = "senders"
    name = "link_user"
    reply = RecipientView

    cause: UUID
    user_id: UUID
    telegram_id: int = Field(gt=0, lt=2**63)


class UnlinkUser(Query[RecipientView]):
    """Part a user of the API from his Telegram user; both keep the consent that they share by then."""

    service = "senders"
    name = "unlink_user"
    reply = RecipientView

    cause: UUID
    user_id: UUID


class Forgotten(Value):
    """What was let go of: the ids that somebody was known by, and how many messages are nobody's now."""

    user_ids: tuple[UUID, ...]
    messages: int


class ForgetRecipient(Query[Forgotten]):
    """Forget somebody for good: addresses, subscriptions, preferences, and what was written to them.

    What is unsent is cancelled. The ledger keeps that there were messages, and what became of them. `emails`
    are mailboxes that are theirs besides those on record: of somebody who was only written to, for example.
    """

    service = "senders"
    name = "forget_recipient"
    reply = Forgotten

    cause: UUID
    user_id: UUID
    emails: tuple[str, ...] = Field(default=(), max_length=100)


class ChatTold(Value):
    """What came of it: false when something newer is known of the chat already."""

    changed: bool


class TellChat(Query[ChatTold]):
    """Tell what Telegram said of a bot in a chat (`my_chat_member`): nothing is sent there, or again.

    `at` is the update's date, `order` its update_id: of two the later one counts, however they arrive.
    """

    service = "senders"
    name = "tell_chat"
    reply = ChatTold

    cause: UUID
    bot: str
    chat_id: int = Field(ge=-(2**63), lt=2**63)
    change: Literal["blocked", "unblocked", "kicked", "added"]
    at: AwareDatetime
    order: int = Field(default=0, ge=0, lt=2**63)


SuppressionReason = Literal["bounced", "complained", "blocked", "kicked", "deactivated", "opted_out"]
SuppressionOrigin = Literal["bounce", "provider", "block", "unsubscribe", "operator"]


class SuppressionView(Value):
    """An address that nothing is sent to; with reason opted_out nothing but campaigns is held back.

    `address` is an e-mail address, or `<bot>:<chat id>`.
    """

    id: UUID
    channel: Channel
    address: str
    reason: SuppressionReason
    origin: SuppressionOrigin
    created_at: AwareDatetime


class SuppressionPage(Value):
    """Suppressions, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[SuppressionView, ...]
    cursor: str | None = None


class ListSuppressions(Query[SuppressionPage]):
    """Ask for the suppression list, by channel, origin or address."""

    service = "senders"
    name = "list_suppressions"
    reply = SuppressionPage

    channel: Channel | None = None
    origin: SuppressionOrigin | None = None
    address: str | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=500)


class AddSuppression(Query[SuppressionView]):
    """Put an address on the suppression list by hand."""

    service = "senders"
    name = "add_suppression"
    reply = SuppressionView

    cause: UUID
    channel: Literal[Channel.TELEGRAM, Channel.EMAIL]
    address: str = Field(min_length=1, max_length=320)
    reason: SuppressionReason


class LiftSuppression(Query[SuppressionView]):
    """Take an address off the suppression list; refused with 404 where it is not on it."""

    service = "senders"
    name = "lift_suppression"
    reply = SuppressionView

    cause: UUID
    suppression_id: UUID


class BounceTold(Value):
    """Whether the address is suppressed by now."""

    suppressed: bool


class TellBounce(Query[BounceTold]):
    """Tell that a letter came back (hard: for good), or that somebody complained about it."""

    service = "senders"
    name = "tell_bounce"
    reply = BounceTold

    cause: UUID
    email: str = Field(min_length=3, max_length=320)
    kind: Literal["hard", "soft", "complaint"] = "hard"


class Unsubscribed(Value):
    """Whether there was somebody to unsubscribe; who was unsubscribed before still is."""

    known: bool


class UnsubscribeRecipient(Query[Unsubscribed]):
    """Take whom a campaign's delivery went to off all campaigns, by user and by address."""

    service = "senders"
    name = "unsubscribe_recipient"
    reply = Unsubscribed

    cause: UUID
    delivery_id: UUID


class CampaignRecipient(Value):
    """One entry of a campaign's list."""

    user_id: UUID | None = None
    address: DirectAddress | None = None
    variables: dict[str, Variable] = {}


class Audience(Value):
    """People of the directory: of these roles and this language, where given; those who may be reached."""

    roles: tuple[str, ...] = ()
    language: str | None = None
    """As `en`, which takes in `en-GB`."""


class CampaignView(Value):
    """A campaign and its sums: intended = sent + failed + suppressed + ambiguous + pending.

    `status` is draft, scheduled, running, paused, done, cancelled or failed, and `reason` says why it failed.
    Seconds count while it runs: `predicted_seconds` from the limits when it was started, `elapsed_seconds`
    so far, `remaining_seconds` from both. `duplicates` are entries of its list that were somebody's second.
    """

    id: UUID
    status: str
    intended: int
    sent: int
    failed: int
    suppressed: int
    ambiguous: int
    pending: int
    created_at: AwareDatetime
    title: str | None = None
    reason: str | None = None
    channels: tuple[Channel, ...] = ()
    bot: str | None = None
    template: str | None = None
    body: Body | None = None
    variables: dict[str, Variable] = {}
    audience: Audience | None = None
    sender: str | None = None
    duplicates: int = 0
    scheduled_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    predicted_seconds: float | None = None
    elapsed_seconds: float | None = None
    remaining_seconds: float | None = None


class CreateCampaign(Query[CampaignView]):
    """Send one message to a list or to an audience; the same `campaign_id` twice is one campaign.

    It begins at once, or at `scheduled_at`, and is valid for three days from then unless `expires_at` says
    otherwise; a `draft` begins when it is started. `variables` are everybody's, a recipient's own come before
    them. `owner` is who may change it later.
    """

    service = "senders"
    name = "create_campaign"
    reply = CampaignView

    campaign_id: UUID
    title: str | None = Field(default=None, max_length=200)
    channels: tuple[Channel, ...] = ()
    bot: str | None = None
    template: str | None = None
    body: Body | None = None
    variables: dict[str, Variable] = {}
    expires_at: Moment | None = None
    recipients: tuple[CampaignRecipient, ...] = Field(default=(), max_length=10_000)
    audience: Audience | None = None
    sender: str | None = None
    draft: bool = False
    scheduled_at: Moment | None = None
    owner: UUID | None = None


class GetCampaign(Query[CampaignView]):
    """Ask for a campaign's progress; refused with 404 where there is none."""

    service = "senders"
    name = "get_campaign"
    reply = CampaignView

    campaign_id: UUID


class CampaignPage(Value):
    """Campaigns, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[CampaignView, ...]
    cursor: str | None = None


class ListCampaigns(Query[CampaignPage]):
    """Ask for campaigns, of one status or of all."""

    service = "senders"
    name = "list_campaigns"
    reply = CampaignPage

    status: CampaignStatus | None = None
    cursor: str | None = None
    limit: int = Field(default=50, ge=1, le=200)


class ListedRecipient(CampaignRecipient):
    """An entry of a list, with the line on which it stands in its file."""

    line: int


class RecipientsAdded(Value):
    """What became of a part of a list: entries that are new, and lines of those that are there already."""

    added: int
    duplicates: tuple[int, ...] = ()
    intended: int


class AddCampaignRecipients(Query[RecipientsAdded]):
    """Add a part of a list to a draft; a part (`cause`) that comes again changes nothing.

    Refused with 409 once the campaign has been started, with 422 when the list grows too long. `by` must be
    the campaign's owner, where it is given.
    """

    service = "senders"
    name = "add_campaign_recipients"
    reply = RecipientsAdded

    cause: UUID
    campaign_id: UUID
    recipients: tuple[ListedRecipient, ...] = Field(min_length=1, max_length=5000)
    by: UUID | None = None


class StartCampaign(Query[CampaignView]):
    """Start a draft, now or at a time.

    Refused with 409 when it has begun, with 422 when nobody is on its list.
    """

    service = "senders"
    name = "start_campaign"
    reply = CampaignView

    cause: UUID
    campaign_id: UUID
    scheduled_at: Moment | None = None
    by: UUID | None = None


class PauseCampaign(Query[CampaignView]):
    """Hold everything of a campaign that is unsent; refused with 409 when it does not run."""

    service = "senders"
    name = "pause_campaign"
    reply = CampaignView

    cause: UUID
    campaign_id: UUID
    by: UUID | None = None


class ResumeCampaign(Query[CampaignView]):
    """Let a paused campaign go on; refused with 409 when it has ended or never begun."""

    service = "senders"
    name = "resume_campaign"
    reply = CampaignView

    cause: UUID
    campaign_id: UUID
    by: UUID | None = None


class CancelCampaign(Query[CampaignView]):
    """End a campaign: nothing more of it is sent; refused with 409 when it has ended otherwise."""

    service = "senders"
    name = "cancel_campaign"
    reply = CampaignView

    cause: UUID
    campaign_id: UUID
    by: UUID | None = None


class CampaignEstimate(Value):
    """How long a campaign will take by the limits, to how many on which channel.

    `unreachable` have no address, or want nothing. `expires_first` when the time that it is valid for will
    not do.
    """

    recipients: int
    channels: dict[Channel, int]
    unreachable: int
    seconds: float
    expires_first: bool = False


class EstimateCampaign(Query[CampaignEstimate]):
    """Ask how long a campaign will take: one that is written down, or an audience over some channels."""

    service = "senders"
    name = "estimate_campaign"
    reply = CampaignEstimate

    campaign_id: UUID | None = None
    audience: Audience | None = None
    channels: tuple[Channel, ...] = ()
    bot: str | None = None


ALL: tuple[type[Query[Value]], ...] = (
    AuditScheduler, AuditClicks, AuditSenders, AuditGateway,
    KeepScheduler, KeepClicks, KeepSenders, KeepGateway,
    StartSchedule, StopSchedule, PauseSchedule, CreateSchedule, EditSchedule, DeleteSchedule, GetSchedule,
    ListSchedules, PlanSlots,
    ListPromos, GetPromo, CreatePromo, EditPromo, DeletePromo, ReorderPromos, PreviewPromo, ListPromoLog,
    CountPosts,
    ListClicks, CountClicks, ListPostClicks, GetClicksSeries, AnnotateClick,
    ListTemplates, ResolveChat, GetMessage, ListMessages, CancelMessage, GetRecipient, ListRecipients,
    PutRecipient, IntroduceRecipients,
    ForgetRecipient, LinkUser, UnlinkUser, AddPushSubscription, ListPushSubscriptions, DeletePushSubscription,
    TellChat, ListSuppressions, AddSuppression, LiftSuppression, TellBounce, UnsubscribeRecipient,
    CreateCampaign, GetCampaign, ListCampaigns, AddCampaignRecipients, StartCampaign, PauseCampaign,
    ResumeCampaign, CancelCampaign, EstimateCampaign,
)  # type: ignore[assignment]  # fmt: skip  # Query is invariant in its reply; each member is a Query
"""Every query there is."""
