"""What clicks does with each event."""

from collections.abc import Sequence

from services.clicks.store import Clicks, books
from services.clicks.store.copies import COPIES
from shared import metrics
from shared.bus import on, on_batch
from shared.database import Database
from shared.events import ButtonClicked, ClickAnnotated, PromoPosted, RecipientForgotten
from shared.record.feeding import Feed, Projecting
from shared.record.keeping import Keeping

UNKNOWN_PROMO = "other"


async def button_clicked(presses: Sequence[ButtonClicked], clicks: Clicks) -> None:
    """Store every press that is not there yet, and count the new ones."""
    for stored in await clicks.add_presses(presses):
        # What a press says is a user's word: only a promo that was posted may become a label.
        promo_id = stored.promo_id if stored.posted else UNKNOWN_PROMO
        metrics.MARKETING_CLICKS.labels(promo_id=promo_id).inc(stored.presses)


async def promo_posted(posts: Sequence[PromoPosted], clicks: Clicks) -> None:
    """Learn which promo each delivery shows, and correct the presses that came before."""
    await clicks.add_posts(posts)


async def click_annotated(annotations: Sequence[ClickAnnotated], clicks: Clicks) -> None:
    """Merge what became known later into the presses."""
    await clicks.add_annotations(annotations)


async def recipient_forgotten(forgotten: RecipientForgotten, clicks: Clicks) -> None:
    """Make somebody's presses nobody's, and posts in their private chat."""
    await clicks.forget(forgotten)


def projecting(database: Database) -> Projecting:
    """Return how the tables come from events: posts first, so that presses find their promo at once."""
    clicks = Clicks(database)

    async def pressed(presses: Sequence[ButtonClicked]) -> None:
        await clicks.add_presses(presses)

    return Projecting(
        tables=("posts", "marketing_clicks", "click_annotations", "forgotten_users"),
        feeds=(
            Feed("clicks_posts", (on_batch(PromoPosted, clicks.add_posts),)),
            Feed(
                "clicks_presses",
                (on_batch(ButtonClicked, pressed),),
                fills="marketing_clicks",
                looked_up=("marketing_clicks_payload", "marketing_clicks_delivery"),
            ),
            Feed("clicks_annotations", (on_batch(ClickAnnotated, clicks.add_annotations),)),
            Feed("clicks_forgotten", (on(RecipientForgotten, lambda told, _: clicks.forget(told)),)),
        ),
    )


KEEPING = Keeping(books.SOURCES, COPIES, projecting)
