"""What senders answers about campaigns."""

from services.senders.store import Campaigns
from shared.bus import Refusal
from shared.queries import CampaignView, CreateCampaign, GetCampaign
from shared.templates import TemplateProblem, Templates


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
