"""Promos over the API: made, changed, put in order, shown before they are posted."""

from typing import Annotated

from aiohttp import web
from pydantic import ConfigDict, Field

from services.gateway.api.asking import Call, answer
from services.gateway.api.requests import Strict
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.queries import (
    CreatePromo,
    DeletePromo,
    EditPromo,
    GetPromo,
    ListPromos,
    PreviewPromo,
    PromoIn,
    PromoList,
    PromoPreview,
    PromoView,
    Removed,
    ReorderPromos,
    Slug,
)


class PromoChange(PromoIn):
    """What is to change of a promo; what is left out, or null, stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NewPromo(PromoChange):
    """A promo that is to be made."""

    id: Slug


class PromoOrder(Strict):
    """The promos that come first, in their order."""

    promo_ids: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=1000)]


async def list_promos(call: Call) -> web.Response:
    """Answer with the catalogue in its order."""
    return await call.ask(ListPromos())


async def get_promo(call: Call) -> web.Response:
    """Answer with a promo."""
    return await call.ask(GetPromo(promo_id=call.named["promo_id"]))


async def create_promo(call: Call) -> web.Response:
    """Make a promo.

    It is refused as Telegram would refuse it, in Telegram's words. Its button leads to the bot's deep link
    `payload`, or to the https address `url`. Its text is that of a `template` of scheduler's with `variables`
    beside the title, or the title in bold with the `description` below.
    """
    given = await call.read(NewPromo)
    command = CreatePromo(cause=call.cause(), promo_id=given.id, promo=_plain(given))
    return answer(await call.door.bus.ask(command), 201)


async def edit_promo(call: Call) -> web.Response:
    """Change a promo; what is due already is posted as it was, unless the promo is disabled by it."""
    given = await call.read(PromoChange)
    return await call.ask(EditPromo(cause=call.cause(), promo_id=call.named["promo_id"], promo=_plain(given)))


async def enable_promo(call: Call) -> web.Response:
    """Have a promo take its turns."""
    return await _enabled(call, enabled=True)


async def disable_promo(call: Call) -> web.Response:
    """Have a promo take no more turns, and cancel what is unsent of it."""
    return await _enabled(call, enabled=False)


async def delete_promo(call: Call) -> web.Response:
    """Remove a promo and cancel what is unsent of it; refused while a schedule's own set names it."""
    return await call.ask(DeletePromo(cause=call.cause(), promo_id=call.named["promo_id"]))


async def reorder_promos(call: Call) -> web.Response:
    """Put promos first, in this order; the others keep theirs behind."""
    given = await call.read(PromoOrder)
    return await call.ask(ReorderPromos(cause=call.cause(), promo_ids=given.promo_ids))


async def preview_new_promo(call: Call) -> web.Response:
    """Show how a promo would look that is not saved; refused as Telegram would."""
    return await call.ask(PreviewPromo(promo=_plain(await call.read(PromoChange))))


async def preview_promo(call: Call) -> web.Response:
    """Show how a promo would look with these changes, or without any; nothing is saved."""
    given = await call.read(PromoChange)
    return await call.ask(PreviewPromo(promo_id=call.named["promo_id"], promo=_plain(given)))


async def _enabled(call: Call, *, enabled: bool) -> web.Response:
    change = PromoIn(enabled=enabled)
    return await call.ask(EditPromo(cause=call.cause(), promo_id=call.named["promo_id"], promo=change))


def _plain(given: PromoIn) -> PromoIn:
    return PromoIn.model_validate(given.model_dump(exclude={"id"}))


ROUTES = (
    Route("GET", "/promos", KeyRole.SERVICE, list_promos, {200: PromoList}),
    Route("POST", "/promos", KeyRole.ADMIN, create_promo, {201: PromoView}, (409,), body=NewPromo),
    Route("PUT", "/promos/order", KeyRole.ADMIN, reorder_promos, {200: PromoList}, (404,), body=PromoOrder),
    Route(
        "POST", "/promos/preview", KeyRole.SERVICE, preview_new_promo, {200: PromoPreview}, body=PromoChange
    ),
    Route("GET", "/promos/{promo_id}", KeyRole.SERVICE, get_promo, {200: PromoView}),
    Route(
        "PATCH", "/promos/{promo_id}", KeyRole.ADMIN, edit_promo, {200: PromoView}, (409,), body=PromoChange
    ),
    Route("DELETE", "/promos/{promo_id}", KeyRole.ADMIN, delete_promo, {200: Removed}, (409,)),
    Route("POST", "/promos/{promo_id}/enable", KeyRole.ADMIN, enable_promo, {200: PromoView}),
    Route("POST", "/promos/{promo_id}/disable", KeyRole.ADMIN, disable_promo, {200: PromoView}),
    Route(
        "POST", "/promos/{promo_id}/preview", KeyRole.SERVICE, preview_promo, {200: PromoPreview},
        body=PromoChange,
    ),
)  # fmt: skip
