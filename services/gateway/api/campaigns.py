"""Campaigns over the API: one message to a list."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from services.gateway.api.asking import Call, answer, checked
from services.gateway.api.content import content_errors
from services.gateway.api.problems import Problem, invalid
from services.gateway.api.repeating import Publish, answered_once
from services.gateway.api.requests import CampaignEstimateIn, CampaignIn, CampaignStartIn
from services.gateway.api.route import Media, Route
from services.gateway.api.uploads import FORMATS, Uploaded, upload_recipients
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.queries import (
    Audience,
    CampaignEstimate,
    CampaignPage,
    CampaignRecipient,
    CampaignView,
    CancelCampaign,
    CreateCampaign,
    EstimateCampaign,
    GetCampaign,
    ListCampaigns,
    PauseCampaign,
    ResumeCampaign,
    StartCampaign,
)
from shared.requesting import template_errors

LATEST = timedelta(days=90)
HEADROOM = 4 * 1024
ANSWER_SECONDS = 15.0


async def create_campaign(call: Call) -> web.Response:
    """Accept a campaign: to a list, to an audience, or a draft whose list comes later.

    One bad recipient refuses it whole, naming the indexes; somebody who is on the list twice is told once.
    """
    given = await call.body()
    return await answered_once(call, lambda key: _checked(call, given, key))


async def get_campaign(call: Call) -> web.Response:
    """Answer with a campaign's progress."""
    return await call.ask(GetCampaign(campaign_id=call.path_id("campaign_id")))


async def list_campaigns(call: Call) -> web.Response:
    """Answer with a page of campaigns, newest first, of one status or of all."""
    return await call.ask(call.query(ListCampaigns))


async def start_campaign(call: Call) -> web.Response:
    """Start a draft, at once or at a time.

    A key of role service may start its own campaigns, an admin's everybody's; likewise below.
    """
    if call.request.can_read_body:
        given = await call.read(CampaignStartIn)
    else:
        given = CampaignStartIn()
        await call.bind()
    if errors := _time_errors(call.door.now(), given.scheduled_at, None):
        raise invalid(errors)
    command = StartCampaign(
        cause=call.cause(), campaign_id=call.path_id("campaign_id"), scheduled_at=given.scheduled_at,
        by=_by(call),
    )  # fmt: skip
    return answer(await call.door.bus.ask(command, timeout=ANSWER_SECONDS), 202)


async def pause_campaign(call: Call) -> web.Response:
    """Hold everything of a campaign that is unsent; twice is once."""
    return await _change(call, PauseCampaign)


async def resume_campaign(call: Call) -> web.Response:
    """Let a paused campaign go on; twice is once."""
    return await _change(call, ResumeCampaign)


async def cancel_campaign(call: Call) -> web.Response:
    """End a campaign: nothing more of it is sent; twice is once."""
    return await _change(call, CancelCampaign)


async def estimate_campaign(call: Call) -> web.Response:
    """Answer with how long a campaign will take by the limits, and how many it reaches on which channel."""
    query = EstimateCampaign(campaign_id=call.path_id("campaign_id"))
    return answer(await call.door.bus.ask(query, timeout=ANSWER_SECONDS))


async def estimate_audience(call: Call) -> web.Response:
    """Answer with how many an audience is, and how long a campaign to it will take."""
    given = await call.read(CampaignEstimateIn)
    if given.bot is not None and given.bot not in call.door.bots:
        raise invalid([{"field": "bot", "message": "unknown bot"}])
    audience = Audience(**given.audience.model_dump())
    query = EstimateCampaign(audience=audience, channels=given.channels, bot=given.bot)
    return answer(await call.door.bus.ask(query, timeout=ANSWER_SECONDS))


async def _change(
    call: Call, command: type[PauseCampaign] | type[ResumeCampaign] | type[CancelCampaign]
) -> web.Response:
    campaign_id = call.path_id("campaign_id")
    return await call.ask(command(cause=call.cause(), campaign_id=campaign_id, by=_by(call)))


async def _checked(call: Call, given: Any, key: str | None) -> Publish:
    campaign = checked(CampaignIn, given)
    await _check(call, campaign)
    command = _command(call, campaign, key)
    if len(command.model_dump_json().encode()) > call.door.bus.max_payload - HEADROOM:
        raise Problem(413, "Content too large", "the list is larger than the broker takes at once")

    async def publish() -> tuple[int, Mapping[str, Any]]:
        view = await call.door.bus.ask(command, timeout=ANSWER_SECONDS)
        return 202, view.model_dump(mode="json")

    return publish


async def _check(call: Call, campaign: CampaignIn) -> None:
    # A template's variables are checked below, for each recipient.
    errors = [
        error
        for error in await content_errors(call.door, campaign, campaign.variables)
        if error["field"] != "variables"
    ]
    errors += _time_errors(call.door.now(), campaign.scheduled_at, campaign.expires_at)
    if not (campaign.draft or campaign.recipients or campaign.audience):
        errors.append({"field": "recipients", "message": "is empty, and there is no audience"})
    if errors:
        raise invalid(errors)
    if campaign.template is None:
        return
    known = await call.door.templates.all()
    if campaign.audience is not None and (
        errors := template_errors(known, campaign.template, campaign.chain, campaign.variables)
    ):
        raise invalid(errors)
    wrong: list[dict[str, Any]] = [
        {"index": index, **error}
        for index, recipient in enumerate(campaign.recipients)
        for error in template_errors(
            known, campaign.template, campaign.chain, {**campaign.variables, **recipient.variables}
        )
    ]
    if wrong:
        raise invalid(wrong[:100], indexes=sorted({each["index"] for each in wrong}))


def _time_errors(
    now: datetime, scheduled_at: datetime | None, expires_at: datetime | None
) -> list[dict[str, Any]]:
    if scheduled_at is not None and scheduled_at > now + LATEST:
        return [{"field": "scheduled_at", "message": f"is not within the next {LATEST.days} days"}]
    begins = max(scheduled_at or now, now)
    if expires_at is not None and not begins < expires_at <= begins + LATEST:
        return [{"field": "expires_at", "message": f"is not within {LATEST.days} days after the start"}]
    return []


def _command(call: Call, campaign: CampaignIn, key: str | None) -> CreateCampaign:
    derived = uuid4() if key is None else ids.derived("api campaign", call.key.id, key)
    audience = campaign.audience
    return CreateCampaign(
        campaign_id=campaign.id or derived,
        title=campaign.title,
        channels=campaign.chain,
        bot=campaign.bot,
        sender=campaign.sender,
        template=campaign.template,
        body=campaign.body,
        variables=campaign.variables,
        expires_at=campaign.expires_at,
        recipients=tuple(
            CampaignRecipient(user_id=each.user_id, address=each.address, variables=each.variables)
            for each in campaign.recipients
        ),
        audience=Audience(**audience.model_dump()) if audience else None,
        draft=campaign.draft,
        scheduled_at=campaign.scheduled_at,
        owner=call.key.id,
    )


def _by(call: Call) -> UUID | None:
    """Return whose campaigns the key may change; None for everybody's."""
    return None if call.key.role >= KeyRole.ADMIN else call.key.id


ROUTES = (
    Route(
        "POST", "/campaigns", KeyRole.SERVICE, create_campaign, {202: CampaignView},
        refuses=(409,), body=CampaignIn,
    ),
    Route("GET", "/campaigns", KeyRole.SERVICE, list_campaigns, {200: CampaignPage}, query=ListCampaigns),
    Route(
        "POST", "/campaigns/estimate", KeyRole.SERVICE, estimate_audience, {200: CampaignEstimate},
        body=CampaignEstimateIn,
    ),
    Route("GET", "/campaigns/{campaign_id}", KeyRole.SERVICE, get_campaign, {200: CampaignView}),
    Route(
        "GET", "/campaigns/{campaign_id}/estimate", KeyRole.SERVICE, estimate_campaign,
        {200: CampaignEstimate},
    ),
    Route(
        "POST", "/campaigns/{campaign_id}/recipients", KeyRole.SERVICE, upload_recipients, {200: Uploaded},
        refuses=(403, 409), body=Media(*FORMATS),
    ),
    Route(
        "POST", "/campaigns/{campaign_id}/start", KeyRole.SERVICE, start_campaign, {202: CampaignView},
        refuses=(403, 409), body=CampaignStartIn,
    ),
    Route(
        "POST", "/campaigns/{campaign_id}/pause", KeyRole.SERVICE, pause_campaign, {200: CampaignView},
        refuses=(403, 409),
    ),
    Route(
        "POST", "/campaigns/{campaign_id}/resume", KeyRole.SERVICE, resume_campaign, {200: CampaignView},
        refuses=(403, 409),
    ),
    Route(
        "POST", "/campaigns/{campaign_id}/cancel", KeyRole.SERVICE, cancel_campaign, {200: CampaignView},
        refuses=(403, 409),
    ),
)  # fmt: skip
