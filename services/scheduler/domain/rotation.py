"""Rotation: each slot takes the next enabled promo of its schedule's set, and wraps."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.scheduler.domain.catalogue import Promo


@dataclass(frozen=True)
class Turn:
    """Whose turn it was last: the id, and the position it had then."""

    promo_id: str
    position: int


def next_promo(promos: Sequence[Promo], last: Turn | None) -> Promo | None:
    """Return the enabled promo whose turn it is after `last`, or None where none is enabled.

    `promos` are the schedule's set, the disabled ones included, in any order. While the last promo is
    still listed, its place of today counts; when it is gone, the place it had.
    """
    enabled = sorted((promo for promo in promos if promo.enabled), key=lambda promo: promo.place)
    if last is None:
        return next(iter(enabled), None)
    today = {promo.id: promo.place for promo in promos}
    place = today.get(last.promo_id, (last.position, last.promo_id))
    behind = [promo for promo in enabled if promo.place > place]
    return next(iter([*behind, *enabled]), None)
