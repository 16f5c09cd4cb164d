"""What senders answers."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from services.senders.store import Campaigns, Ledger, Recipients
from shared.bus import Refusal
from shared.cursors import from_cursor, to_cursor
from shared.events import Channel, Lane, State
from shared.queries import (
    AddPushSubscription,
    AttemptView,
    CampaignView,
    CancelMessage,
    CreateCampaign,
    DeliveryView,
    DoubtPage,
    DoubtView,
    GetCampaign,
    GetMessage,
    GetRecipient,
    ListMessages,
    ListTemplates,
    MessageCancelled,
    MessageView,
    PutRecipient,
    RecipientView,
    TemplateList,
    TemplateView,
)
from shared.templates import TemplateProblem, Templates

Announce = Callable[[], Awaitable[None]]

_BEST_FIRST = (State.SENT, State.AMBIGUOUS, State.PENDING, State.FAILED, State.SUPPRESSED)


async def list_templates(_query: ListTemplates, templates: Templates) -> TemplateList:
    """Describe every template."""
    return TemplateList(
        items=tuple(TemplateView(name=name, required=templates.describe(name)) for name in templates.names())
    )


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


async def get_recipient(query: GetRecipient, recipients: Recipients) -> RecipientView:
    """Show a recipient; refuses with 404."""
    return await _view(query.user_id, recipients)


async def put_recipient(command: PutRecipient, recipients: Recipients, announce: Announce) -> RecipientView:
    """Create or change a recipient; refuses addresses that cannot be."""
    if command.email is not None and not _is_address(command.email):
        raise Refusal(422, "Invalid address", "email is expected to be local@domain")
    await recipients.put(command)
    await announce()
    return await _view(command.user_id, recipients)


async def add_push_subscription(
    command: AddPushSubscription,
    recipients: Recipients,
    announce: Announce,
    http_hosts: Collection[str] = (),
) -> RecipientView:
    """Add a browser's subscription to a recipient; `http_hosts` may be reached without TLS."""
    if not _is_endpoint(command.subscription.endpoint, http_hosts):
        raise Refusal(422, "Invalid subscription", "endpoint is expected to be an https: URL")
    await recipients.add_subscription(command)
    await announce()
    return await _view(command.user_id, recipients)


async def create_campaign(
    command: CreateCampaign, campaigns: Campaigns, templates: Templates
) -> CampaignView:
    """Write a campaign down; the rounds expand it. The same id with another list is refused with 409."""
    if (command.template is None) == (command.body is None):
        raise Refusal(422, "Invalid campaign", "a campaign has exactly one of template and body")
    if command.template is not None:
        try:
            templates.describe(command.template)
        except TemplateProblem as problem:
            raise Refusal(422, "Unknown template", str(problem)) from None
    for place, each in enumerate(command.recipients):
        if each.user_id is None and each.address is None:
            raise Refusal(422, "Invalid campaign", f"recipients[{place}] needs user_id or address")
    if not await campaigns.add(command):
        raise Refusal(409, "Another campaign", "a campaign of that id exists, with another list or text")
    return await get_campaign(GetCampaign(campaign_id=command.campaign_id), campaigns)


async def get_campaign(query: GetCampaign, campaigns: Campaigns) -> CampaignView:
    """Show a campaign's progress; refuses with 404."""
    found = await campaigns.get(query.campaign_id)
    if found is None:
        raise Refusal(404, "Unknown campaign", "there is no campaign of that id")
    row, sums = found
    ended = {state: sums.get(state, 0) for state in ("sent", "failed", "suppressed", "ambiguous")}
    return CampaignView(
        id=row["id"],
        status=row["status"],
        intended=row["intended"],
        **ended,
        pending=row["intended"] - sum(ended.values()),
        created_at=row["created_at"],
    )


async def _view(user_id: UUID, recipients: Recipients) -> RecipientView:
    view = await recipients.view(user_id)
    if view is None:
        raise Refusal(404, "Unknown user", "there is no recipient of that id")
    return view


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


def _is_endpoint(endpoint: str, http_hosts: Collection[str]) -> bool:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
    except ValueError:
        return False
    return host is not None and (parts.scheme == "https" or (parts.scheme == "http" and host in http_hosts))


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and "." in domain and not any(c.isspace() or ord(c) < 32 or c in "<>,;" for c in text))
