"""What scheduler answers about the catalogue."""

from collections.abc import Callable
from datetime import datetime

from services.scheduler.api.wording import NEW, draft_of, preview, rewritten, text_of
from services.scheduler.store import Catalogue, PromoInUse, PromoTaken, Saved, UnknownPromo
from shared.bus import Refusal
from shared.queries import (
    CreatePromo,
    DeletePromo,
    EditPromo,
    GetPromo,
    PreviewPromo,
    PromoList,
    PromoPreview,
    PromoView,
    Removed,
    ReorderPromos,
)
from shared.templates import Templates


async def list_promos(catalogue: Catalogue) -> PromoList:
    """Answer with the catalogue in its order."""
    return PromoList(items=tuple(await catalogue.promos()))


async def get_promo(query: GetPromo, catalogue: Catalogue) -> PromoView:
    """Answer with a promo."""
    return await _known(query.promo_id, catalogue)


async def create_promo(
    query: CreatePromo, catalogue: Catalogue, templates: Templates, now: datetime
) -> PromoView:
    """Add a promo, last unless a position is given."""
    given, draft = query.promo, rewritten(NEW, query.promo)
    saved = Saved(draft, text_of(draft, templates), given.enabled is not False, given.position)
    try:
        return await catalogue.create(query.promo_id, saved, query.cause, now)
    except PromoTaken as taken:
        raise _taken(taken) from None


async def edit_promo(
    query: EditPromo,
    catalogue: Catalogue,
    templates: Templates,
    now: datetime,
    wake: Callable[[], None],
) -> PromoView:
    """Change a promo; what is due already is posted as it was, unless the promo is disabled by it."""
    given = query.promo

    def rewrite(before: PromoView) -> Saved:
        draft = rewritten(draft_of(before), given)
        # What its author has not touched is not refused now: who only disables a promo can.
        text = before.text if draft == draft_of(before) else text_of(draft, templates)
        enabled = before.enabled if given.enabled is None else given.enabled
        return Saved(draft, text, enabled, before.position if given.position is None else given.position)

    try:
        view = await catalogue.edit(query.promo_id, rewrite, query.cause, now)
    except UnknownPromo:
        raise _unknown(query.promo_id) from None
    except PromoTaken as taken:
        raise _taken(taken) from None
    wake()
    return view


async def delete_promo(
    query: DeletePromo, catalogue: Catalogue, now: datetime, wake: Callable[[], None]
) -> Removed:
    """Remove a promo and have what is unsent of it cancelled."""
    try:
        await catalogue.delete(query.promo_id, query.cause, now)
    except UnknownPromo:
        raise _unknown(query.promo_id) from None
    except PromoInUse as used:
        detail = f"schedule {used} has the promo in its own set: take it out of it first"
        raise Refusal(409, "Promo in use", detail) from None
    wake()
    return Removed(id=query.promo_id)


async def reorder_promos(query: ReorderPromos, catalogue: Catalogue, now: datetime) -> PromoList:
    """Put promos in another order."""
    try:
        return PromoList(items=tuple(await catalogue.reorder(query.promo_ids, query.cause, now)))
    except UnknownPromo as unknown:
        raise _unknown(str(unknown)) from None


async def preview_promo(query: PreviewPromo, catalogue: Catalogue, templates: Templates) -> PromoPreview:
    """Show a promo as it is, or as it would be with what is given; nothing is saved."""
    before = NEW if query.promo_id is None else draft_of(await _known(query.promo_id, catalogue))
    draft = before if query.promo is None else rewritten(before, query.promo)
    return preview(draft, text_of(draft, templates))


async def _known(promo_id: str, catalogue: Catalogue) -> PromoView:
    try:
        return await catalogue.promo(promo_id)
    except UnknownPromo:
        raise _unknown(promo_id) from None


def _unknown(promo_id: str) -> Refusal:
    return Refusal(404, "Unknown promo", f"there is no promo {promo_id}")


def _taken(taken: PromoTaken) -> Refusal:
    return Refusal(409, "Taken already", str(taken))
