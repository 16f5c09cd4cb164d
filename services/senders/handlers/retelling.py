"""What the ledger can tell again of what the streams have said: requests, and how deliveries ended."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.requests import Request
from services.senders.handlers.announcing import outcome_of
from services.senders.store import books
from services.senders.store.statements import OUTCOMES_OF
from services.senders.store.tables import messages
from shared.events import Event, Lane, MessageRequested, State, outcome_id
from shared.record.keeping import Keeping
from shared.record.reconciling import Copies
from shared.record.redacting import NO_WORDS, NOBODY


def _message(row: RowMapping) -> Iterable[tuple[str, str]]:
    yield str(row["id"]), str(row["id"])


def _outcome(row: RowMapping) -> Iterable[tuple[str, str]]:
    kind = "posted" if row["state"] == State.SENT and row["lane"] == Lane.PROMO else row["state"]
    yield str(outcome_id(row["id"], row["attempt"], kind)), str(row["id"])


async def _requests(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    """Make requests again; what was about somebody who is forgotten is about nobody."""
    statement = select(messages.c.request).where(messages.c.id.in_([UUID(ref) for ref in refs]))
    found = []
    for kept in (await connection.execute(statement)).scalars():
        request = Request.model_validate(kept)
        fields = request.model_dump(exclude={"requested_at", "promo"})
        if request.user_id is None and request.address is None:
            fields["user_id"] = NOBODY
        if request.template is None and request.body is None:
            fields["body"] = NO_WORDS
        found.append(MessageRequested(**fields, at=request.requested_at))
    return [*found]


async def _outcomes(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    rows = await connection.execute(OUTCOMES_OF, {"ids": [UUID(ref) for ref in refs]})
    return [outcome_of(row) for row in rows.mappings()]


def _of_lane(stream: str, lane: Lane) -> Copies:
    rows = select(messages.c.id).where(messages.c.lane == lane)
    return Copies(stream, ("messages.>",), rows, _message, _requests)


COPIES = (
    _of_lane("TRANSACTIONAL", Lane.TRANSACTIONAL),
    _of_lane("CAMPAIGN", Lane.CAMPAIGN),
    Copies(
        "OUTCOMES",
        ("outcomes.>",),
        text("""
            SELECT d.id, d.state, d.attempt, m.lane FROM deliveries d JOIN messages m ON m.id = d.message_id
            WHERE d.announced AND d.state NOT IN ('pending', 'sending')"""),
        _outcome,
        _outcomes,
    ),
)

KEEPING = Keeping(books.SOURCES, COPIES)
