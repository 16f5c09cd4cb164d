"""What senders answers about campaigns."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.senders.api.estimates import Estimates
from services.senders.domain.campaigns import MOST_RECIPIENTS, elapsed, remaining
from services.senders.store import Campaigns, NotADraft, TooMany
from shared.bus import Refusal
from shared.cursors import from_cursor, to_cursor
from shared.queries import (
    AddCampaignRecipients,
    CampaignPage,
    CampaignRecipient,
    CampaignView,
    CancelCampaign,
    CreateCampaign,
    GetCampaign,
    ListCampaigns,
    PauseCampaign,
    RecipientsAdded,
    ResumeCampaign,
    StartCampaign,
)
from shared.requesting import variables_problem
from shared.templates import TemplateProblem, Templates

_VIEWED = (
    "id", "status", "sent", "failed", "suppressed", "ambiguous", "pending", "created_at", "title", "reason",
    "channels", "bot", "sender", "template", "body", "variables", "audience", "duplicates", "scheduled_at",
    "started_at", "ended_at", "expires_at", "predicted_seconds",
)  # fmt: skip


async def create_campaign(
    command: CreateCampaign, campaigns: Campaigns, templates: Templates, estimates: Estimates
) -> CampaignView:
    """Write a campaign down; the rounds expand it. The same id with another list is refused with 409."""
    _check_content(command, templates)
    _check_times(command.scheduled_at, command.expires_at)
    if not (command.draft or command.recipients or command.audience):
        raise Refusal(422, "Invalid campaign", "nobody is on its list; a draft may be given one later")
    for place, each in enumerate(command.recipients):
        _check_entry(each, "Invalid campaign", f"recipients[{place}]")
    known = await campaigns.get(command.campaign_id)
    seconds = None
    if known is None and not command.draft:
        estimate = await estimates.of_command(command)
        if command.audience is not None:
            _check_size(estimate.recipients)
        seconds = estimate.seconds
    if not await campaigns.add(command, predicted_seconds=seconds):
        raise Refusal(409, "Another campaign", "a campaign of that id exists, with another list or text")
    return await _view(command.campaign_id, campaigns)


async def get_campaign(query: GetCampaign, campaigns: Campaigns) -> CampaignView:
    """Show a campaign's progress; refuses with 404."""
    return await _view(query.campaign_id, campaigns)


async def list_campaigns(query: ListCampaigns, campaigns: Campaigns) -> CampaignPage:
    """List campaigns, newest first; refuses a cursor that is none."""
    try:
        before = from_cursor(query.cursor) if query.cursor else None
    except ValueError as error:
        raise Refusal(422, "Invalid cursor", str(error)) from None
    rows = await campaigns.page(query.limit + 1, status=query.status, before=before)
    items = tuple(_viewed(row) for row in rows[: query.limit])
    more = len(rows) > query.limit
    return CampaignPage(items=items, cursor=to_cursor(items[-1].created_at, items[-1].id) if more else None)


async def add_campaign_recipients(command: AddCampaignRecipients, campaigns: Campaigns) -> RecipientsAdded:
    """Add a part of a list to a draft; refuses one that is started, and a list that grows too long."""
    await _owned(command.campaign_id, command.by, campaigns)
    for each in command.recipients:
        _check_entry(each, "Invalid list", f"line {each.line}")
    try:
        return await campaigns.add_part(command)
    except NotADraft as error:
        raise Refusal(409, "Too late", f"the campaign is {error.status}: its list is what it is") from None
    except TooMany:
        raise _too_many() from None


async def start_campaign(command: StartCampaign, campaigns: Campaigns, estimates: Estimates) -> CampaignView:
    """Start a draft, now or at a time; refuses an empty one, and one that is over."""
    campaign = await _owned(command.campaign_id, command.by, campaigns)
    if campaign["status"] == "draft":
        _check_times(command.scheduled_at, campaign["expires_at"])
        estimate = await estimates.of_campaign(campaign)
        _check_size(estimate.recipients)
        await campaigns.start(
            campaign["id"], scheduled_at=command.scheduled_at, predicted_seconds=estimate.seconds
        )
    view = await _view(command.campaign_id, campaigns)
    if view.status not in ("running", "scheduled", "done"):
        raise Refusal(409, "Cannot be started", f"the campaign is {view.status}")
    return view


async def pause_campaign(command: PauseCampaign, campaigns: Campaigns) -> CampaignView:
    """Hold a campaign; refuses one that does not run."""
    return await _moved(command.campaign_id, command.by, campaigns, campaigns.pause, "paused")


async def resume_campaign(command: ResumeCampaign, campaigns: Campaigns) -> CampaignView:
    """Let a campaign go on; refuses one that is over, or never began."""
    return await _moved(
        command.campaign_id, command.by, campaigns, campaigns.resume, "running", "scheduled", "done"
    )


async def cancel_campaign(command: CancelCampaign, campaigns: Campaigns) -> CampaignView:
    """End a campaign; refuses one that is over."""
    return await _moved(command.campaign_id, command.by, campaigns, campaigns.cancel, "cancelled")


async def _moved(
    campaign_id: UUID,
    by: UUID | None,
    campaigns: Campaigns,
    move: Callable[[UUID], Awaitable[bool]],
    *wanted: str,
) -> CampaignView:
    """Move a campaign; what is so already is left so, anything else is refused."""
    await _owned(campaign_id, by, campaigns)
    await move(campaign_id)
    view = await _view(campaign_id, campaigns)
    if view.status not in wanted:
        raise Refusal(409, "Not possible now", f"the campaign is {view.status}")
    return view


async def _owned(campaign_id: UUID, by: UUID | None, campaigns: Campaigns) -> Mapping[Any, Any]:
    campaign = await campaigns.get(campaign_id)
    if campaign is None:
        raise Refusal(404, "Unknown campaign", "there is no campaign of that id")
    if by is not None and campaign["owner"] != by:
        raise Refusal(403, "Forbidden", "the campaign is somebody else's: this needs a key of role admin")
    return campaign


async def _view(campaign_id: UUID, campaigns: Campaigns) -> CampaignView:
    return _viewed(await _owned(campaign_id, None, campaigns))


def _viewed(campaign: Mapping[Any, Any]) -> CampaignView:
    seconds = elapsed(campaign, datetime.now(UTC))
    lasts = campaign["status"] in ("draft", "scheduled", "running", "paused")
    left = remaining(
        intended=campaign["length"],
        pending=campaign["pending"],
        seconds=seconds,
        predicted_seconds=campaign["predicted_seconds"],
    )
    return CampaignView.model_validate(
        {name: campaign[name] for name in _VIEWED}
        | {"intended": campaign["length"], "elapsed_seconds": seconds}
        | {"remaining_seconds": left if lasts else None}
    )


def _check_content(command: CreateCampaign, templates: Templates) -> None:
    if (command.template is None) == (command.body is None):
        raise Refusal(422, "Invalid campaign", "a campaign has exactly one of template and body")
    if len({*command.channels}) < len(command.channels):
        twice = [each for each, count in Counter(command.channels).items() if count > 1]
        raise Refusal(422, "Invalid campaign", f"channels names {', '.join(twice)} more than once")
    if problem := variables_problem(command.variables):
        raise Refusal(422, "Invalid campaign", f"variables: {problem}")
    if command.template is not None:
        try:
            templates.describe(command.template)
        except TemplateProblem as problem:
            raise Refusal(422, "Unknown template", str(problem)) from None


def _check_entry(recipient: CampaignRecipient, title: str, place: str) -> None:
    if recipient.user_id is None and recipient.address is None:
        raise Refusal(422, title, f"{place} needs user_id or address")
    if problem := variables_problem(recipient.variables):
        raise Refusal(422, title, f"{place}, variables: {problem}")


def _check_times(scheduled_at: datetime | None, expires_at: datetime | None) -> None:
    begins = max(scheduled_at or datetime.now(UTC), datetime.now(UTC))
    if expires_at is not None and expires_at <= begins:
        raise Refusal(422, "Invalid campaign", "expires_at is not after its start")


def _check_size(recipients: int) -> None:
    if recipients == 0:
        raise Refusal(422, "Nobody to send to", "nobody is on its list, and nobody belongs to its audience")
    if recipients > MOST_RECIPIENTS:
        raise _too_many()


def _too_many() -> Refusal:
    return Refusal(422, "Too many recipients", f"a campaign has at most {MOST_RECIPIENTS:,} recipients")
