"""What scheduler does with each event: it keeps the promo log."""

from collections.abc import Sequence

from services.scheduler.store import Forgetting, PromoLog, books
from services.scheduler.store.copies import COPIES
from shared import metrics
from shared.bus import on, on_batch
from shared.database import Database
from shared.events import (
    OUTCOMES,
    MessageAmbiguous,
    MessageFailed,
    MessageSent,
    MessageSuppressed,
    Outcome,
    PromoDue,
    PromoPosted,
    RecipientForgotten,
    SlotSkipped,
)
from shared.record.feeding import Feed, Projecting
from shared.record.keeping import Keeping

UNKNOWN_PROMO = "other"


async def promo_due(dues: Sequence[PromoDue], promo_log: PromoLog) -> None:
    """Log that promos are intended for chats."""
    await promo_log.record_due(dues)


async def slot_skipped(skipped: Sequence[SlotSkipped], promo_log: PromoLog) -> None:
    """Log that slots passed without a post."""
    for reason in await promo_log.record_skipped(skipped):
        metrics.SLOTS_SKIPPED.labels(reason=reason).inc()


async def promo_posted(outcome: PromoPosted, promo_log: PromoLog) -> None:
    """Log that a promo is in its chat."""
    await _record(outcome, promo_log)


async def message_sent(outcome: MessageSent, promo_log: PromoLog) -> None:
    """Log that a promo was sent; other messages are none of scheduler's business."""
    await _record(outcome, promo_log)


async def message_failed(outcome: MessageFailed, promo_log: PromoLog) -> None:
    """Log that a promo failed in a chat."""
    await _record(outcome, promo_log)


async def message_suppressed(outcome: MessageSuppressed, promo_log: PromoLog) -> None:
    """Log that a promo was not sent, on purpose."""
    await _record(outcome, promo_log)


async def message_ambiguous(outcome: MessageAmbiguous, promo_log: PromoLog) -> None:
    """Log that nobody can tell whether a promo is in its chat."""
    await _record(outcome, promo_log)


async def recipient_forgotten(told: RecipientForgotten, forgetting: Forgetting) -> None:
    """Forget somebody whose private chat promos went to."""
    await forgetting.targets(told)
    await forgetting.logged(told)


async def _record(outcome: Outcome, promo_log: PromoLog) -> None:
    if outcome.promo is None:
        return
    recorded = await promo_log.record_outcome(outcome, outcome.promo)
    if recorded.newly_posted:
        promo_id = outcome.promo.promo_id if recorded.in_catalogue else UNKNOWN_PROMO
        metrics.MARKETING_POSTS.labels(promo_id=promo_id).inc()


def projecting(database: Database) -> Projecting:
    """Return how the promo log comes from events."""
    promo_log, forgetting = PromoLog(database), Forgetting(database)

    async def ended(outcome: Outcome) -> None:
        if outcome.promo is not None:
            await promo_log.record_outcome(outcome, outcome.promo)

    async def skipped(slots: Sequence[SlotSkipped]) -> None:
        await promo_log.record_skipped(slots)

    return Projecting(
        tables=("promo_log_chats", "forgotten_users"),
        feeds=(
            Feed(
                "scheduler_promos",
                (on_batch(PromoDue, promo_log.record_due), on_batch(SlotSkipped, skipped)),
            ),
            Feed(
                "scheduler_outcomes", tuple(on(each, lambda outcome, _: ended(outcome)) for each in OUTCOMES)
            ),
            Feed("scheduler_forgotten", (on(RecipientForgotten, lambda told, _: forgetting.logged(told)),)),
        ),
    )


KEEPING = Keeping(books.SOURCES, COPIES, projecting)
