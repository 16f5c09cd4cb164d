"""How long a campaign will take, before it is sent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.senders.domain.campaigns import VALID, Share, predicted
from services.senders.domain.limits import Limits
from services.senders.store import Audiences, Campaigns
from shared.bus import Refusal
from shared.events import DEFAULT_CHAIN, Address, Channel
from shared.queries import Audience, CampaignEstimate, CampaignRecipient, CreateCampaign, EstimateCampaign


@dataclass(frozen=True)
class Estimates:
    """What an estimate is made from: the directory, the lists, and the limits."""

    audiences: Audiences
    limits: Limits

    async def of_command(self, command: CreateCampaign) -> CampaignEstimate:
        """Estimate a campaign that is not written down yet; of its list by its addresses alone."""
        chain = command.channels or DEFAULT_CHAIN
        count = len(command.recipients)
        firsts = Counter(_first(each, chain) for each in command.recipients)
        shares = [Share(channel, number, number) for channel, number in firsts.items()]
        return await self._estimate(
            count, shares, command.audience, [str(channel) for channel in chain], command.bot
        )

    async def of_campaign(self, campaign: Mapping[Any, Any]) -> CampaignEstimate:
        """Estimate a campaign that is written down."""
        channels, bot = campaign["channels"], campaign["bot"]
        shares = await self.audiences.of_list(campaign["id"], campaign["intended"], channels, bot)
        audience = Audience.model_validate(campaign["audience"]) if campaign["audience"] else None
        is_listed = campaign["status"] not in ("draft", "scheduled") and not campaign["listing"]
        begins = max(campaign["scheduled_at"] or datetime.now(UTC), datetime.now(UTC))
        left = campaign["expires_at"] - begins if campaign["expires_at"] else VALID
        return await self._estimate(
            campaign["intended"], shares, None if is_listed else audience, channels, bot, left
        )

    async def of_audience(
        self, audience: Audience, channels: Sequence[str], bot: str | None
    ) -> CampaignEstimate:
        """Estimate an audience over some channels."""
        return await self._estimate(0, [], audience, channels, bot)

    async def _estimate(
        self,
        count: int,
        shares: Sequence[Share],
        audience: Audience | None,
        channels: Sequence[str],
        bot: str | None,
        left: timedelta = VALID,
    ) -> CampaignEstimate:
        """Put a list and an audience together, as if nobody belonged to both."""
        unreachable = count - sum(share.recipients for share in shares)
        if audience is not None:
            size, of_audience = await self.audiences.of_directory(audience, channels, bot)
            reached = sum(share.recipients for share in of_audience)
            count, unreachable = count + reached, unreachable + size - reached
            shares = [*shares, *of_audience]
        together = [_together(channel, shares) for channel in Channel]
        seconds = predicted(together, self.limits)
        return CampaignEstimate(
            recipients=count,
            channels={share.channel: share.recipients for share in together if share.recipients},
            unreachable=max(0, unreachable),
            seconds=round(seconds, 1),
            expires_first=seconds > left.total_seconds(),
        )


async def estimate_campaign(
    query: EstimateCampaign, campaigns: Campaigns, estimates: Estimates
) -> CampaignEstimate:
    """Say how long a campaign or an audience will take; refuses with 404, and what is neither with 422."""
    if (query.campaign_id is None) == (query.audience is None):
        raise Refusal(422, "Invalid question", "expected exactly one of campaign_id and audience")
    if query.audience is not None:
        chain = [str(channel) for channel in query.channels or DEFAULT_CHAIN]
        return await estimates.of_audience(query.audience, chain, query.bot)
    campaign = await campaigns.get(query.campaign_id) if query.campaign_id else None
    if campaign is None:
        raise Refusal(404, "Unknown campaign", "there is no campaign of that id")
    return await estimates.of_campaign(campaign)


def _first(recipient: CampaignRecipient, chain: Sequence[Channel]) -> Channel:
    """Return the first channel of a chain that an entry's address is of; the first one for people."""
    address = recipient.address or Address()
    has = {Channel.TELEGRAM: address.telegram_chat_id, Channel.EMAIL: address.email}
    return next((channel for channel in chain if has.get(channel) is not None), chain[0])


def _together(channel: Channel, shares: Sequence[Share]) -> Share:
    ours = [share for share in shares if share.channel is channel]
    return Share(channel, sum(each.recipients for each in ours), sum(each.most for each in ours))
