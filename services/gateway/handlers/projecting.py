"""What of each event is a projection: the update log and campaigns' sums, made without any effect."""

from collections.abc import Sequence

from services.gateway.domain.updates import written_in
from services.gateway.handlers.events import line_of, lines_of
from services.gateway.store import Broadcasts, UpdateLog, books
from services.gateway.store.copies import COPIES
from shared.bus import on, on_batch
from shared.database import Database
from shared.events import ButtonClicked, CampaignChanged, RecipientForgotten, UpdateHandled, UpdateReceived
from shared.record.feeding import Feed, Projecting
from shared.record.keeping import Keeping


def projecting(database: Database) -> Projecting:
    """Return how the update log and campaigns' sums come from events; nobody is registered or answered."""
    log, broadcasts = UpdateLog(database), Broadcasts(database)

    async def received(updates: Sequence[UpdateReceived]) -> None:
        await log.add([line_of(each, written_in(each.update, each.kind)) for each in updates])

    async def pressed(presses: Sequence[ButtonClicked]) -> None:
        await log.add(lines_of(presses))

    return Projecting(
        tables=("telegram_webhooks", "campaign_progress", "forgotten_users"),
        bulky=("telegram_webhooks",),
        feeds=(
            Feed("gateway_updates", (on_batch(UpdateReceived, received),)),
            Feed("gateway_presses", (on_batch(ButtonClicked, pressed),)),
            Feed("gateway_updates", (on_batch(UpdateHandled, log.settle),), ("handled.*",)),
            Feed("gateway_campaigns", (on(CampaignChanged, lambda event, _: broadcasts.progress(event)),)),
            Feed("gateway_forgotten", (on(RecipientForgotten, lambda told, _: log.forget(told)),)),
        ),
        finish=lambda: log.forget_like("public.telegram_webhooks"),
    )


KEEPING = Keeping(books.SOURCES, COPIES, projecting)
