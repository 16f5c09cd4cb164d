"""Campaigns over the API: one message to a list."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from aiohttp import web

from services.gateway.api.asking import Call, checked
from services.gateway.api.content import content_errors
from services.gateway.api.problems import Problem, invalid
from services.gateway.api.repeating import Publish, answered_once
from services.gateway.api.requests import CampaignIn
from services.gateway.api.route import Route
from services.gateway.api.templates import template_errors
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.queries import CampaignRecipient, CampaignView, CreateCampaign, GetCampaign

VALID = timedelta(hours=72)
LATEST = timedelta(days=90)
HEADROOM = 4 * 1024
ANSWER_SECONDS = 15.0


async def create_campaign(call: Call) -> web.Response:
    """Accept a campaign; one bad recipient refuses it whole, naming the indexes."""
    given = await call.body()
    return await answered_once(call, lambda key: _checked(call, given, key))


async def get_campaign(call: Call) -> web.Response:
    """Answer with a campaign's progress."""
    return await call.ask(GetCampaign(campaign_id=call.path_id("campaign_id")))


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
    now = call.door.now()
    # A template's variables are checked below, for each recipient.
    errors = [
        error
        for error in await content_errors(call.door, campaign, campaign.variables)
        if error["field"] != "variables"
    ]
    if campaign.expires_at is not None and not now < campaign.expires_at <= now + LATEST:
        errors.append({"field": "expires_at", "message": f"is not within the next {LATEST.days} days"})
    if errors:
        raise invalid(errors)
    if campaign.template is None:
        return
    known = await call.door.templates.all()
    wrong: list[dict[str, Any]] = [
        {"index": index, **error}
        for index, recipient in enumerate(campaign.recipients)
        for error in template_errors(
            known, campaign.template, campaign.chain, {**campaign.variables, **recipient.variables}
        )
    ]
    if wrong:
        raise invalid(wrong[:100], indexes=sorted({each["index"] for each in wrong}))


def _command(call: Call, campaign: CampaignIn, key: str | None) -> CreateCampaign:
    derived = uuid4() if key is None else ids.derived("api campaign", call.key.id, key)
    return CreateCampaign(
        campaign_id=campaign.id or derived,
        channels=campaign.chain,
        bot=campaign.bot,
        template=campaign.template,
        body=campaign.body,
        expires_at=campaign.expires_at or call.door.now() + VALID,
        recipients=tuple(
            CampaignRecipient(
                user_id=each.user_id,
                address=each.address,
                variables={**campaign.variables, **each.variables},
            )
            for each in campaign.recipients
        ),
    )


ROUTES = (
    Route("POST", "/campaigns", KeyRole.SERVICE, create_campaign, {202: CampaignView}, body=CampaignIn),
    Route("GET", "/campaigns/{campaign_id}", KeyRole.SERVICE, get_campaign, {200: CampaignView}),
)
