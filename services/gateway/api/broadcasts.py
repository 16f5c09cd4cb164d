"""Broadcasts over the API: written, tried, sent now or at a time, and cancelled."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import BaseModel, Field, model_validator

from services.gateway.api.answers import Accepted
from services.gateway.api.asking import Call, answer, checked
from services.gateway.api.messages import publish_requests
from services.gateway.api.people import TimeZone
from services.gateway.api.problems import Problem, invalid
from services.gateway.api.repeating import Publish, answered_once, once
from services.gateway.api.requests import Name, Strict
from services.gateway.api.route import Route
from services.gateway.domain.broadcasts import ROLES, AudienceWord, Broadcast, Draft, Status, instant_of
from services.gateway.domain.roles import KeyRole
from shared import ids, markdown
from shared.cursors import from_cursor, to_cursor
from shared.events import Button, Channel, Lane, MessageRequested, Moment
from shared.queries import Audience, CampaignEstimate, EstimateCampaign, GetCampaign
from shared.requesting import VALID

LATEST = timedelta(days=90)
LOCAL_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$"


class CallToAction(Strict):
    """The button below a broadcast."""

    text: Annotated[str, Field(min_length=1, max_length=64)]
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2048)]


class BroadcastIn(Strict):
    """A broadcast: MarkdownV2 that Telegram has to take, a button, and who gets it."""

    text: Annotated[str, Field(min_length=1, max_length=16_384)]
    cta: CallToAction | None = None
    bot: Name | None = None
    audience: AudienceWord = "all"

    def draft(self) -> Draft:
        """Return it as a draft."""
        cta_text, cta_url = (self.cta.text, self.cta.url) if self.cta else (None, None)
        return Draft(self.text, self.audience, cta_text, cta_url, self.bot)


class SendIn(Strict):
    """When a broadcast goes out: at once, at `scheduled_at`, or when a zone's clocks show `local_time`."""

    scheduled_at: Moment | None = None
    local_time: Annotated[str, Field(pattern=LOCAL_TIME)] | None = None
    time_zone: TimeZone | None = None

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.scheduled_at is not None and self.local_time is not None:
            raise ValueError("expected one of scheduled_at and local_time")
        if (self.local_time is None) != (self.time_zone is None) and self.scheduled_at is None:
            raise ValueError("local_time and time_zone go together")
        return self


class ToIn(Strict):
    """Who gets a broadcast to try it."""

    user_id: UUID


class ListBroadcasts(Strict):
    """Which broadcasts are asked for."""

    status: Status | None = None
    cursor: str | None = None
    limit: int = Field(default=50, ge=1, le=200)


class BroadcastView(BaseModel):
    """A broadcast; the sums are null until there is a campaign, and complete once it is sent."""

    id: UUID
    status: Status
    text: str
    cta: CallToAction | None
    bot: str | None
    audience: AudienceWord
    scheduled_at: datetime | None
    time_zone: str | None
    reason: str | None
    recipients: int | None
    sent: int | None
    failed: int | None
    suppressed: int | None
    ambiguous: int | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, broadcast: Broadcast) -> Self:
        """Return a broadcast as the API shows it."""
        fields = {**vars(broadcast), **vars(broadcast.draft)}
        cta = {"text": broadcast.draft.cta_text, "url": broadcast.draft.cta_url}
        return cls.model_validate({**fields, "cta": cta if broadcast.draft.cta_url else None})


class BroadcastPage(BaseModel):
    """Broadcasts, newest first; `cursor` asks for the next page, null at the end."""

    items: tuple[BroadcastView, ...]
    cursor: str | None = None


class Preview(BaseModel):
    """What Telegram will show: the text without marks, what the marks stood for, and the buttons."""

    text: str
    entities: tuple[dict[str, Any], ...]
    buttons: tuple[tuple[Button, ...], ...]


async def create_broadcast(call: Call) -> web.Response:
    """Write a draft down; a text that Telegram would refuse is refused in Telegram's words."""
    given = await call.body()
    return await answered_once(call, lambda _: _creation(call, given))


async def list_broadcasts(call: Call) -> web.Response:
    """Answer with a page of broadcasts, newest first."""
    asked = call.query(ListBroadcasts)
    try:
        before = from_cursor(asked.cursor) if asked.cursor else None
    except ValueError as error:
        raise invalid([{"field": "cursor", "message": str(error)}]) from None
    found = await call.door.broadcasts.page(asked.limit + 1, status=asked.status, before=before)
    items = tuple(BroadcastView.of(each) for each in found[: asked.limit])
    more = len(found) > asked.limit
    return answer(
        BroadcastPage(items=items, cursor=to_cursor(items[-1].created_at, items[-1].id) if more else None)
    )


async def get_broadcast(call: Call) -> web.Response:
    """Answer with a broadcast; while it is being sent, with its sums of this moment."""
    view = BroadcastView.of(await _broadcast(call))
    if view.status == "sending" and view.recipients is not None:
        campaign = await call.door.bus.ask(GetCampaign(campaign_id=view.id))
        sums = {name: getattr(campaign, name) for name in ("sent", "failed", "suppressed", "ambiguous")}
        view = view.model_copy(update={**sums, "recipients": campaign.intended})
    return answer(view)


async def change_broadcast(call: Call) -> web.Response:
    """Change a draft; what is being sent is what it is."""
    draft = _checked(call, await call.read(BroadcastIn))
    if not await call.door.broadcasts.change(call.path_id("broadcast_id"), draft):
        raise _too_late(await _broadcast(call))
    return answer(BroadcastView.of(await _broadcast(call)))


async def preview_broadcast(call: Call) -> web.Response:
    """Answer with what Telegram will show of a broadcast."""
    draft = (await _broadcast(call)).draft
    shown = draft.checked()
    entities = tuple(entity.to_dict() for entity in shown.entities)
    return answer(Preview(text=shown.text, entities=entities, buttons=draft.body().buttons))


async def estimate_broadcast(call: Call) -> web.Response:
    """Answer with how many people a broadcast reaches, and how long that takes."""
    draft = (await _broadcast(call)).draft
    return await call.ask(
        EstimateCampaign(
            audience=Audience(roles=ROLES[draft.audience]), channels=(Channel.TELEGRAM,), bot=draft.bot
        )
    )


async def test_broadcast(call: Call) -> web.Response:
    """Send a broadcast to one person, as it is now, to see it."""
    to = await call.read(ToIn)
    draft, now = (await _broadcast(call)).draft, call.door.now()
    event = MessageRequested(
        id=ids.derived("test broadcast", call.cause()), at=now, channels=(Channel.TELEGRAM,),
        user_id=to.user_id, bot=draft.bot, body=draft.body(), expires_at=now + VALID[Lane.TRANSACTIONAL],
        metadata={"test": True},
    )  # fmt: skip
    await publish_requests(call, [event])
    return answer(Accepted(id=event.id), 202)


async def send_broadcast(call: Call) -> web.Response:
    """Let a draft go out, at once or at a time; it is sent as it is now."""
    when = _time_of(await call.read(SendIn), call.door.now())
    broadcast_id = call.path_id("broadcast_id")
    if not await call.door.broadcasts.send(broadcast_id, *when):
        broadcast = await _broadcast(call)
        if broadcast.status not in ("scheduled", "sending") or broadcast.scheduled_at != when[0]:
            raise _too_late(broadcast)
    return answer(BroadcastView.of(await _broadcast(call)), 202)


async def cancel_broadcast(call: Call) -> web.Response:
    """End a broadcast: nothing more of it is sent."""
    if (await _broadcast(call)).status in ("draft", "scheduled", "sending"):
        await call.door.broadcasts.cancel(call.path_id("broadcast_id"))
    broadcast = await _broadcast(call)
    if broadcast.status not in ("cancelled", "sending", "scheduled"):
        raise _too_late(broadcast)
    return answer(BroadcastView.of(broadcast), 202)


async def _broadcast(call: Call) -> Broadcast:
    broadcast = await call.door.broadcasts.find(call.path_id("broadcast_id"))
    if broadcast is None:
        raise Problem(404, "Not found", "there is no such broadcast")
    return broadcast


async def _creation(call: Call, given: Any) -> Publish:
    draft, broadcast_id = _checked(call, checked(BroadcastIn, given)), call.cause()

    async def publish() -> tuple[int, Mapping[str, Any]]:
        await call.door.broadcasts.create(broadcast_id, draft)
        made = await call.door.broadcasts.find(broadcast_id)
        return 201, BroadcastView.of(made).model_dump(mode="json") if made else {}

    return publish


def _checked(call: Call, given: BroadcastIn) -> Draft:
    if given.bot is not None and given.bot not in call.door.bots:
        raise invalid([{"field": "bot", "message": "unknown bot"}])
    draft = given.draft()
    try:
        draft.checked()
    except markdown.Refused as refused:
        raise invalid([{"field": "text", "message": problem} for problem in refused.problems]) from None
    return draft


def _time_of(given: SendIn, now: datetime) -> tuple[datetime | None, str | None]:
    at = given.scheduled_at
    if given.local_time is not None and given.time_zone is not None:
        try:
            at = instant_of(datetime.fromisoformat(given.local_time), ZoneInfo(given.time_zone))
        except (ValueError, OverflowError) as error:
            raise invalid([{"field": "local_time", "message": str(error)}]) from None
    if at is not None and not now < at <= now + LATEST:
        field = "scheduled_at" if given.local_time is None else "local_time"
        raise invalid([{"field": field, "message": f"is not within the next {LATEST.days} days"}])
    return at, given.time_zone


def _too_late(broadcast: Broadcast) -> Problem:
    return Problem(409, "Too late", f"the broadcast is {broadcast.status}")


_ONE = "/broadcasts/{broadcast_id}"
ROUTES = (
    Route("POST", "/broadcasts", KeyRole.ADMIN, create_broadcast, {201: BroadcastView}, body=BroadcastIn),
    Route("GET", "/broadcasts", KeyRole.ADMIN, list_broadcasts, {200: BroadcastPage}, query=ListBroadcasts),
    Route("GET", _ONE, KeyRole.ADMIN, get_broadcast, {200: BroadcastView}),
    Route("PUT", _ONE, KeyRole.ADMIN, once(change_broadcast), {200: BroadcastView}, (409,), body=BroadcastIn),
    Route("GET", f"{_ONE}/preview", KeyRole.ADMIN, preview_broadcast, {200: Preview}),
    Route("GET", f"{_ONE}/audience", KeyRole.ADMIN, estimate_broadcast, {200: CampaignEstimate}),
    Route("POST", f"{_ONE}/test", KeyRole.ADMIN, test_broadcast, {202: Accepted}, body=ToIn),
    Route("POST", f"{_ONE}/send", KeyRole.ADMIN, send_broadcast, {202: BroadcastView}, (409,), body=SendIn),
    Route("POST", f"{_ONE}/cancel", KeyRole.ADMIN, cancel_broadcast, {202: BroadcastView}, (409,)),
)
