"""Recipients over the API: where people are reached, and how they want to be."""

from typing import Any

from aiohttp import web

from services.gateway.api.asking import Call, answer
from services.gateway.api.people import BounceIn, PushSubscriptionIn, RecipientIn, SuppressionIn, TelegramIn
from services.gateway.api.problems import invalid
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.events import PushSubscription
from shared.queries import (
    AddPushSubscription,
    AddSuppression,
    BounceTold,
    DeletePushSubscription,
    ForgetRecipient,
    Forgotten,
    GetRecipient,
    LiftSuppression,
    LinkUser,
    ListPushSubscriptions,
    ListRecipients,
    ListSuppressions,
    PushSubscriptionList,
    PutRecipient,
    RecipientPage,
    RecipientView,
    SuppressionPage,
    SuppressionView,
    TellBounce,
    UnlinkUser,
)


async def list_recipients(call: Call) -> web.Response:
    """Answer with a page of recipients, newest first."""
    return await call.ask(call.query(ListRecipients))


async def get_recipient(call: Call) -> web.Response:
    """Answer with a recipient."""
    return await call.ask(GetRecipient(user_id=call.path_id("user_id")))


async def put_recipient(call: Call) -> web.Response:
    """Create a recipient, or change what is given.

    What is left out stays as it is; a field that is null becomes empty.
    """
    user_id = call.path_id("user_id")
    given = await call.read(RecipientIn)
    if given.bot is not None and given.bot not in call.door.bots:
        raise invalid([{"field": "bot", "message": "unknown bot"}])
    wanted: dict[str, Any] = given.model_dump(exclude_none=True) | {"clear": given.cleared}
    wanted |= {"cause": call.cause(), "user_id": user_id}
    return await call.ask(PutRecipient.model_validate(wanted))


async def forget_recipient(call: Call) -> web.Response:
    """Forget somebody for good, and cancel what is unsent to them.

    Addresses, subscriptions and preferences go, and what was written to them; that there were messages, and
    what became of them, stays counted.
    """
    return await call.ask(ForgetRecipient(cause=call.cause(), user_id=call.path_id("user_id")))


async def link_user(call: Call) -> web.Response:
    """Say which Telegram user this one is; from then on both ids mean one recipient.

    Addresses are merged, consent is united in the stricter sense.
    """
    given = await call.read(TelegramIn)
    user_id = call.path_id("user_id")
    return await call.ask(LinkUser(cause=call.cause(), user_id=user_id, telegram_id=given.telegram_id))


async def unlink_user(call: Call) -> web.Response:
    """Part a user from his Telegram user; both keep the consent that they share."""
    return await call.ask(UnlinkUser(cause=call.cause(), user_id=call.path_id("user_id")))


async def list_push_subscriptions(call: Call) -> web.Response:
    """Answer with a recipient's browsers, oldest first."""
    return await call.ask(ListPushSubscriptions(user_id=call.path_id("user_id")))


async def add_push_subscription(call: Call) -> web.Response:
    """Add a browser's subscription to a recipient."""
    user_id = call.path_id("user_id")
    given = await call.read(PushSubscriptionIn)
    subscription = PushSubscription.model_validate(given.model_dump())
    command = AddPushSubscription(cause=call.cause(), user_id=user_id, subscription=subscription)
    return answer(await call.door.bus.ask(command), 201)


async def delete_push_subscription(call: Call) -> web.Response:
    """Take a browser from a recipient."""
    user_id, subscription_id = call.path_id("user_id"), call.path_id("subscription_id")
    return await call.ask(
        DeletePushSubscription(cause=call.cause(), user_id=user_id, subscription_id=subscription_id)
    )


async def list_suppressions(call: Call) -> web.Response:
    """Answer with a page of addresses that nothing is sent to, newest first."""
    return await call.ask(call.query(ListSuppressions))


async def add_suppression(call: Call) -> web.Response:
    """Suppress an address by hand; with reason opted_out nothing but campaigns is held back."""
    given = await call.read(SuppressionIn)
    command = AddSuppression.model_validate({"cause": call.cause(), **given.model_dump()})
    return answer(await call.door.bus.ask(command), 201)


async def lift_suppression(call: Call) -> web.Response:
    """Lift a suppression, and answer with what it was."""
    suppression_id = call.path_id("suppression_id")
    return await call.ask(LiftSuppression(cause=call.cause(), suppression_id=suppression_id))


async def tell_bounce(call: Call) -> web.Response:
    """Tell that a letter came back, or was complained about; a soft bounce suppresses nothing."""
    given = await call.read(BounceIn)
    return await call.ask(TellBounce.model_validate({"cause": call.cause(), **given.model_dump()}))


_ONE = "/recipients/{user_id}"
_BROWSERS = f"{_ONE}/push-subscriptions"
_BROWSER = f"{_BROWSERS}/{{subscription_id}}"
_SERVICE, _ADMIN = KeyRole.SERVICE, KeyRole.ADMIN

ROUTES = (
    Route("GET", "/recipients", _ADMIN, list_recipients, {200: RecipientPage}, query=ListRecipients),
    Route("GET", _ONE, _SERVICE, get_recipient, {200: RecipientView}),
    Route("PUT", _ONE, _SERVICE, put_recipient, {200: RecipientView}, body=RecipientIn),
    Route("DELETE", _ONE, _ADMIN, forget_recipient, {200: Forgotten}),
    Route(
        "POST", f"{_ONE}/telegram", _SERVICE, link_user, {200: RecipientView}, refuses=(409,), body=TelegramIn
    ),
    Route("DELETE", f"{_ONE}/telegram", _SERVICE, unlink_user, {200: RecipientView}),
    Route("GET", _BROWSERS, _SERVICE, list_push_subscriptions, {200: PushSubscriptionList}),
    Route(
        "POST", _BROWSERS, _SERVICE, add_push_subscription, {201: RecipientView}, body=PushSubscriptionIn
    ),
    Route("DELETE", _BROWSER, _SERVICE, delete_push_subscription, {200: RecipientView}),
    Route("GET", "/suppressions", _ADMIN, list_suppressions, {200: SuppressionPage}, query=ListSuppressions),
    Route(
        "POST", "/suppressions", _ADMIN, add_suppression, {201: SuppressionView}, refuses=(409,),
        body=SuppressionIn,
    ),
    Route("DELETE", "/suppressions/{suppression_id}", _ADMIN, lift_suppression, {200: SuppressionView}),
    Route("POST", "/bounces", _SERVICE, tell_bounce, {200: BounceTold}, body=BounceIn),
)  # fmt: skip
