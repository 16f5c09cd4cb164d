"""What clicks does with each event."""

from collections.abc import Callable

from prometheus_client import REGISTRY

from services.clicks import handlers
from services.clicks.store import Clicks
from shared import ids
from shared.events import ButtonClicked, PromoPosted

Press = Callable[..., ButtonClicked]
Post = Callable[..., PromoPosted]


def counted(promo_id: str) -> float | None:
    """Return what marketing_clicks_total says of a promo."""
    return REGISTRY.get_sample_value("marketing_clicks_total", {"promo_id": promo_id})


async def test_presses_are_counted_once_under_bounded_labels(
    clicks: Clicks, press: Press, post: Post
) -> None:
    """A repeated press is not counted again, and a payload that no promo has never becomes a label."""
    others = counted("other") or 0
    await handlers.promo_posted([post("counted_promo", "premium", ids.derived("delivery", 1))], clicks)
    presses = [press(1, 1), press(2, 1), press(3, 1, payload="users-own-words")]
    await handlers.button_clicked(presses, clicks)
    await handlers.button_clicked(presses, clicks)
    assert counted("counted_promo") == 2
    assert counted("users-own-words") is None
    assert counted("other") == others + 1
