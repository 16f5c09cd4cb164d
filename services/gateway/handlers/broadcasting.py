"""Telling senders of broadcasts: each is a campaign of the same id; a row knows whether it has been told."""

from uuid import UUID

from services.gateway.domain.broadcasts import ROLES
from services.gateway.store import Broadcasts
from shared import ids, tasks, telemetry
from shared.bus import Bus, NoAnswer, Refusal
from shared.events import CampaignChanged, Channel
from shared.queries import Audience, CancelCampaign, CreateCampaign

AGAIN_SECONDS = 5.0
ANSWER_SECONDS = 15.0
NOBODY = "Nobody to send to"

log = telemetry.logger(__name__)


async def campaign_changed(event: CampaignChanged, broadcasts: Broadcasts) -> None:
    """Keep how far a campaign is."""
    await broadcasts.progress(event)


class Broadcaster:
    """Makes a campaign of every broadcast that is to be sent, and ends those that are cancelled."""

    def __init__(self, broadcasts: Broadcasts, bus: Bus) -> None:
        self._broadcasts = broadcasts
        self._bus = bus

    async def run(self) -> None:
        """Tell senders what it does not know, at every change and every few seconds, until cancelled."""
        while True:
            self._broadcasts.changed.clear()
            await self.settle()
            await tasks.wait(self._broadcasts.changed, AGAIN_SECONDS)

    async def settle(self) -> None:
        """Tell senders what it does not know; what it cannot hear now is told again later."""
        for broadcast_id, cancelled, settled in await self._broadcasts.untold():
            try:
                if cancelled:
                    done = await self._cancel(broadcast_id, settled=settled)
                else:
                    done = await self._send(broadcast_id)
            except NoAnswer:
                return
            if done:
                await self._broadcasts.told(broadcast_id, cancelled=cancelled)

    async def _send(self, broadcast_id: UUID) -> bool:
        broadcast = await self._broadcasts.find(broadcast_id)
        if broadcast is None:
            return False
        command = CreateCampaign(
            campaign_id=broadcast.id, channels=(Channel.TELEGRAM,), bot=broadcast.draft.bot,
            body=broadcast.draft.body(), audience=Audience(roles=ROLES[broadcast.draft.audience]),
            scheduled_at=broadcast.scheduled_at,
        )  # fmt: skip
        try:
            await self._bus.ask(command, timeout=ANSWER_SECONDS)
        except Refusal as refusal:
            # A campaign of this id is this broadcast's, made by an earlier attempt.
            return refusal.status == 409 or await self._refused(broadcast_id, refusal)
        return True

    async def _refused(self, broadcast_id: UUID, refusal: Refusal) -> bool:
        if refusal.status >= 500:
            return False
        log.warning("broadcast_refused", broadcast_id=str(broadcast_id), status=refusal.status)
        await self._broadcasts.fail(broadcast_id, "empty" if refusal.title == NOBODY else "refused")
        return True

    async def _cancel(self, broadcast_id: UUID, *, settled: bool) -> bool:
        command = CancelCampaign(
            cause=ids.derived("cancel broadcast", broadcast_id), campaign_id=broadcast_id
        )
        try:
            await self._bus.ask(command, timeout=ANSWER_SECONDS)
        except Refusal as refusal:
            # Where there is no campaign, one may still be in the making, but for so long only.
            return refusal.status == 409 or (refusal.status == 404 and settled)
        return True
