"""Recipients over the API: where people are reached."""

from aiohttp import web

from services.gateway.api.asking import Call, answer
from services.gateway.api.problems import invalid
from services.gateway.api.requests import PushSubscriptionIn, RecipientIn
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.events import PushSubscription
from shared.queries import AddPushSubscription, GetRecipient, PutRecipient, RecipientView


async def get_recipient(call: Call) -> web.Response:
    """Answer with a recipient."""
    return await call.ask(GetRecipient(user_id=call.path_id("user_id")))


async def put_recipient(call: Call) -> web.Response:
    """Create a recipient, or change what is given."""
    user_id = call.path_id("user_id")
    given = await call.read(RecipientIn)
    if given.bot is not None and given.bot not in call.door.bots:
        raise invalid([{"field": "bot", "message": "unknown bot"}])
    return await call.ask(PutRecipient(cause=call.cause(), user_id=user_id, **given.model_dump()))


async def add_push_subscription(call: Call) -> web.Response:
    """Add a browser's subscription to a recipient."""
    user_id = call.path_id("user_id")
    given = await call.read(PushSubscriptionIn)
    subscription = PushSubscription.model_validate(given.model_dump())
    command = AddPushSubscription(cause=call.cause(), user_id=user_id, subscription=subscription)
    return answer(await call.door.bus.ask(command), 201)


ROUTES = (
    Route("GET", "/recipients/{user_id}", KeyRole.SERVICE, get_recipient, {200: RecipientView}),
    Route(
        "PUT", "/recipients/{user_id}", KeyRole.SERVICE, put_recipient, {200: RecipientView}, body=RecipientIn
    ),
    Route(
        "POST",
        "/recipients/{user_id}/push-subscriptions",
        KeyRole.SERVICE,
        add_push_subscription,
        {201: RecipientView},
        body=PushSubscriptionIn,
    ),
)
