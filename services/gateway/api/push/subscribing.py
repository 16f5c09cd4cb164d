"""How a visitor's subscription reaches senders without a service key in the browser: by a signed token.

A service makes a link for somebody whom it knows. Whoever opens it may add subscriptions of that one person,
and nothing else. The browser gets a token of its own for later, since push services replace subscriptions.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, Field

from services.gateway.api.asking import Call, answer, checked, json_of
from services.gateway.api.people import PushSubscriptionIn
from services.gateway.api.problems import Problem, invalid
from services.gateway.api.requests import Strict
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from services.gateway.settings import GatewaySettings
from shared.bus import Bus, Refusal
from shared.events import PushSubscription
from shared.links import BadLink, Links, Purpose
from shared.push import PushServices
from shared.queries import AddPushSubscription, DeletePushSubscription

LINK_LASTS = timedelta(days=1)
BROWSER_LASTS = timedelta(days=400)
"""As long as browsers keep anything."""


@dataclass(frozen=True)
class Pushing:
    """What the page needs: who signs, where it is reached, our key, where clicks lead, whom we push to.

    Senders post to what a visitor's browser names, so only known services are taken.
    """

    links: Links
    public_url: str
    key: str
    dashboard_url: str
    services: PushServices

    def token(self, user_id: UUID, now: datetime, until: datetime) -> str:
        """Return a token, made now, that lets a browser subscribe as a user."""
        made = int(1000 * now.timestamp())
        return self.links.sign(Purpose.PUSH, {"user": str(user_id), "made": made}, until=until)

    def user_of(self, token: str, now: datetime) -> tuple[UUID, datetime | None]:
        """Return whose token it is and when it was made, where it says so.

        Raises the problem 403 when it is none, or its time is over.
        """
        try:
            said = self.links.read(Purpose.PUSH, token, now)
            made = said.get("made")
            at = datetime.fromtimestamp(made / 1000, UTC) if isinstance(made, int) else None
            return UUID(str(said["user"])), at
        except (BadLink, KeyError, ValueError):
            raise _not_valid() from None


def pushing(settings: GatewaySettings) -> Pushing | None:
    """Return what lets browsers subscribe, where all that it needs is set."""
    links, public_url, key = settings.links(), settings.public_url, settings.push_vapid_public_key
    if not (links and public_url and key):
        return None
    return Pushing(links, public_url, key, settings.dashboard_url, settings.known_push_services())


class PushLink(BaseModel):
    """Where somebody turns notifications on, up to when; a page of one's own takes the token alone."""

    url: str
    token: str
    expires_at: AwareDatetime


class SubscriptionIn(Strict):
    """What a browser says: its token, and the subscription as the browser writes it."""

    token: str
    subscription: PushSubscriptionIn


class UnsubscriptionIn(Strict):
    """What a browser says that wants no more: its token, and where it was reached."""

    token: str
    endpoint: Annotated[str, Field(max_length=4096)]


async def make_push_link(call: Call) -> web.Response:
    """Make a link at which a recipient's browser subscribes to push.

    It is good for a day. Give it only to the person whose id it is for.
    """
    pushing = call.door.pushing
    if pushing is None:
        detail = "set PUBLIC_URL, LINK_SIGNING_KEYS and PUSH_VAPID_PUBLIC_KEY of the gateway"
        raise Problem(409, "Push is not set up", detail)
    expires_at = (call.door.now() + LINK_LASTS).replace(microsecond=0)
    token = pushing.token(call.path_id("user_id"), call.door.now(), expires_at)
    url = f"{pushing.public_url.rstrip('/')}/push#{token}"
    return answer(PushLink(url=url, token=token, expires_at=expires_at), 201)


async def subscribe(request: web.Request, pushing: Pushing, bus: Bus, now: datetime) -> web.Response:
    """Add the subscription of the browser that asks, and give it a token for its next one."""
    given = checked(SubscriptionIn, await json_of(request))
    user_id, made_at = pushing.user_of(given.token, now)
    if not pushing.services.know(given.subscription.endpoint):
        raise invalid([{"field": "subscription.endpoint", "message": "is not of a push service known here"}])
    subscription = PushSubscription.model_validate(given.subscription.model_dump())
    # Another cause each time: what was taken away meanwhile is to be there again.
    command = AddPushSubscription(cause=uuid4(), user_id=user_id, subscription=subscription, at=made_at)
    try:
        await bus.ask(command)
    except Refusal as refusal:
        if refusal.status != 410:
            raise
        raise _not_valid() from None
    return answer({"token": pushing.token(user_id, now, now + BROWSER_LASTS)}, 201)


async def unsubscribe(request: web.Request, pushing: Pushing, bus: Bus, now: datetime) -> web.Response:
    """Take away the subscription of the browser that asks; one that is not there is away already."""
    given = checked(UnsubscriptionIn, await json_of(request))
    user_id, _ = pushing.user_of(given.token, now)
    try:
        await bus.ask(DeletePushSubscription(cause=uuid4(), user_id=user_id, endpoint=given.endpoint))
    except Refusal as refusal:
        if refusal.status != 404:
            raise
    return web.Response(status=204)


def _not_valid() -> Problem:
    return Problem(403, "Forbidden", "the link is not valid any more; ask for a new one")


ROUTES = (
    Route(
        "POST",
        "/recipients/{user_id}/push-link",
        KeyRole.SERVICE,
        make_push_link,
        {201: PushLink},
        refuses=(409,),
    ),
)
