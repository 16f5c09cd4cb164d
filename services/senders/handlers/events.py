"""One function per event that senders handles."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson
from pydantic import ValidationError

from services.senders.domain.requests import Request, chain_of
from services.senders.handlers.announcing import Announcer
from services.senders.handlers.desk import Desk
from services.senders.handlers.tracing import current
from services.senders.store import Ledger, Proof
from shared import metrics, telemetry
from shared.bus import DeadLetter, Receipt
from shared.events import ButtonClicked, Channel, Lane, MessageRequested, PromoCancelled, PromoDue
from shared.failpoints import passing
from shared.queues import Queues

log = telemetry.logger(__name__)


async def message_requested(event: MessageRequested, receipt: Receipt, desk: Desk, queues: Queues) -> None:
    """Write a message down and make its first attempt; whatever waits is a row that the rounds take up."""
    order = await desk.recipients.order_of(event.user_id) if event.user_id and not event.channels else ()
    await _request(Request.of_message(event, chain_of(order)), receipt, desk, queues)


async def promo_due(event: PromoDue, receipt: Receipt, desk: Desk, queues: Queues) -> None:
    """Write a post down and make its first attempt."""
    await _request(Request.of_promo(event), receipt, desk, queues)


async def _request(request: Request, receipt: Receipt, desk: Desk, queues: Queues) -> None:
    async with queues.turn(request.queue):
        delivery_id = await desk.ledger.accept(
            request, replay=receipt.replay > 0, trace=current(), sequence=receipt.sequence
        )
    if delivery_id is not None:
        metrics.MESSAGES_ENQUEUED.labels(priority=request.lane, channel=request.channels[0]).inc()
        await desk.send(delivery_id, request)
    passing("before_ack")


async def promo_cancelled(event: PromoCancelled, ledger: Ledger, announcer: Announcer) -> None:
    """Suppress the unsent posts of a schedule, those that are still to come included."""
    for delivery_id in await ledger.cancel_promos(event.id, event.schedule_id, event.promo_id, event.up_to):
        await announcer.outcome(delivery_id)


async def button_clicked(presses: Sequence[ButtonClicked], ledger: Ledger, announcer: Announcer) -> None:
    """Settle unanswered deliveries as sent: a press from its own chat and bot proves that one arrived."""
    proofs = [
        Proof(press.delivery_id, press.bot, press.chat_id, press.message_id)
        for press in presses
        if press.delivery_id is not None and press.chat_id is not None
    ]
    for settled in await ledger.settle(proofs) if proofs else ():
        log.info("ambiguous_settled", delivery_id=str(settled))
        await announcer.outcome(settled)


async def dead_letter(letter: DeadLetter, ledger: Ledger, announcer: Announcer) -> None:
    """Count a message whose event died as failed, until it is replayed; as invalid, if it is no message."""
    request, stub = _request_of(letter), None
    if request is not None:
        ended = await ledger.bury(request)
    elif (stub := _stub_of(letter)) is not None:
        ended = await ledger.reject(stub)
    else:
        log.warning("dead_letter_without_message", number=letter.number, durable=letter.durable)
        return
    for delivery_id in ended:
        await announcer.outcome(delivery_id)


def _request_of(letter: DeadLetter) -> Request | None:
    try:
        if letter.durable == "senders_promos":
            return Request.of_promo(PromoDue.model_validate_json(letter.payload))
        return Request.of_message(MessageRequested.model_validate_json(letter.payload))
    except ValidationError:
        return None


def _stub_of(letter: DeadLetter) -> Request | None:
    """Return what can be read of a message that is none: its id, and whom it may have been for."""
    try:
        given = orjson.loads(letter.payload)
        _, lane, channel = letter.subject.split(".")
        fields = {name: _uuid(given.get(name)) for name in ("id", "user_id", "campaign_id")}
        now = letter.died_at or datetime.now(UTC)
        return Request(
            lane=Lane(lane), channels=(Channel(channel),), expires_at=now, requested_at=now, **fields
        )
    except (ValueError, AttributeError):
        return None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
