"""Telling senders what became of a bot in a chat: nothing is sent where it was blocked or removed."""

from datetime import UTC, datetime

from services.gateway.domain.commands import Done
from services.gateway.domain.updates import membership_of
from shared import telemetry
from shared.bus import Bus, NoAnswer, Refusal, RetryLater
from shared.events import UpdateReceived
from shared.queries import TellChat

SHORTEST_WAIT = 1.0
LATEST = 253_402_300_799
"""The last second of the year 9999: what claims to be later is no date."""

log = telemetry.logger(__name__)


async def tell_of_chat(update: UpdateReceived, bus: Bus, now: datetime) -> Done:
    """Tell senders of a `my_chat_member`; waits for as long as senders does not answer."""
    membership = membership_of(update.update)
    if membership is None:
        return Done("ignored")
    date = membership.date
    is_told = date is not None and 0 <= date <= LATEST
    command = TellChat(
        cause=update.id, bot=update.bot, chat_id=membership.chat_id, change=membership.change,
        at=datetime.fromtimestamp(date, UTC) if is_told and date is not None else update.at,
        order=update.update_id,
    )  # fmt: skip
    try:
        await bus.ask(command)
    except NoAnswer:
        raise _later(update, now) from None
    except Refusal as refusal:
        if refusal.status >= 500:
            raise _later(update, now) from None
        log.error("chat_refused", title=refusal.title)
        return Done("failed")
    return Done("handled")


def _later(update: UpdateReceived, now: datetime) -> RetryLater:
    """Senders counts the later of two by their dates, so that waiting changes nothing."""
    return RetryLater(max(SHORTEST_WAIT, (now - update.at).total_seconds()))
