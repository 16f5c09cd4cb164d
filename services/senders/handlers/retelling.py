"""What senders' tables can tell again of what the streams have said: requests, outcomes, and changes."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.requests import Request
from services.senders.handlers import versions
from services.senders.handlers.announcing import outcome_of
from services.senders.store import books
from services.senders.store.campaigns import told_campaigns
from services.senders.store.statements import OUTCOMES_OF
from services.senders.store.tables import (
    campaigns,
    chats_told,
    forgotten_recipients,
    messages,
    migrated_chats,
    recipients,
)
from shared import telemetry
from shared.events import (
    CampaignChanged,
    ChatChanged,
    Event,
    Lane,
    MessageRequested,
    RecipientChanged,
    RecipientForgotten,
    State,
    outcome_id,
)
from shared.ids import derived
from shared.record.keeping import Keeping
from shared.record.reconciling import Copies
from shared.record.redacting import NO_WORDS, NOBODY

log = telemetry.logger(__name__)

_RECIPIENTS_OF = text("""
    SELECT r.*, (SELECT count(*) FROM push_subscriptions s WHERE s.user_id = r.user_id) AS subscriptions
    FROM recipients r WHERE user_id = ANY(CAST(:ids AS uuid[]))""")


def _message(row: RowMapping) -> Iterable[tuple[str, str]]:
    yield str(row["id"]), str(row["id"])


def _outcome(row: RowMapping) -> Iterable[tuple[str, str]]:
    kind = "posted" if row["state"] == State.SENT and row["lane"] == Lane.PROMO else row["state"]
    yield str(outcome_id(row["id"], row["attempt"], kind)), str(row["id"])


async def _requests(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    """Make requests again; what was about somebody who is forgotten is about nobody.

    A row of before today's bounds is no event any more: it stays missing, and the others are told.
    """
    statement = select(messages.c.request).where(messages.c.id.in_([UUID(ref) for ref in refs]))
    found: list[Event] = []
    skipped = 0
    for kept in (await connection.execute(statement)).scalars():
        try:
            found.append(_told_again(Request.model_validate(kept)))
        except ValidationError:
            skipped += 1
    if skipped:
        log.warning("requests_not_retold", count=skipped)
    return found


def _told_again(request: Request) -> MessageRequested:
    fields = request.model_dump(exclude={"requested_at", "promo"})
    if request.user_id is None and request.address is None:
        fields["user_id"] = NOBODY
    if request.template is None and request.body is None:
        fields["body"] = NO_WORDS
    return MessageRequested(**fields, at=request.requested_at)


async def _outcomes(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    rows = await connection.execute(OUTCOMES_OF, {"ids": [UUID(ref) for ref in refs]})
    return [outcome_of(row) for row in rows.mappings()]


async def _recipients(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    rows = await connection.execute(_RECIPIENTS_OF, {"ids": [UUID(ref) for ref in refs]})
    return [versions.recipient_changed(row) for row in rows.mappings()]


async def _forgotten(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    known = forgotten_recipients.c.user_id
    rows = await connection.execute(
        select(forgotten_recipients).where(known.in_([UUID(ref) for ref in refs]))
    )
    return [versions.recipient_forgotten(row) for row in rows.mappings()]


async def _chats(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    found: list[Event] = []
    for ref in refs:
        bot, _, chat_id = ref.rpartition(" ")
        for table, told in ((chats_told, _told), (migrated_chats, _moved)):
            rows = select(table).where(table.c.bot == bot, table.c.chat_id == int(chat_id))
            found += [told(row) for row in (await connection.execute(rows)).mappings()]
    return found


async def _campaigns(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    rows = await told_campaigns(connection, [UUID(ref) for ref in refs])
    return [versions.campaign_changed(row, datetime.now(UTC)) for row in rows]


def _told(row: RowMapping) -> ChatChanged:
    return versions.chat_changed(row)


def _moved(row: RowMapping) -> ChatChanged:
    return versions.chat_migrated(row, row["migrated_at"])


def _by_version(kind: str, key: str) -> Callable[[RowMapping], Iterable[tuple[str, str]]]:
    """Name the event of a row's version as whoever told it did."""

    def keys(row: RowMapping) -> Iterable[tuple[str, str]]:
        yield str(derived(kind, row[key], row["version"])), str(row[key])

    return keys


def _by_chat(make: Callable[[RowMapping], ChatChanged]) -> Callable[[RowMapping], Iterable[tuple[str, str]]]:
    def keys(row: RowMapping) -> Iterable[tuple[str, str]]:
        yield str(make(row).id), f"{row['bot']} {row['chat_id']}"

    return keys


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
    # Of what people change the newest version is known; older ones are of no use to anybody.
    Copies(
        "OUTCOMES",
        (CampaignChanged.pattern,),
        select(campaigns.c.id, campaigns.c.version).where(campaigns.c.announced >= campaigns.c.version),
        _by_version("campaign.changed", "id"),
        _campaigns,
    ),
    Copies(
        "RECIPIENTS",
        (RecipientChanged.pattern,),
        select(recipients.c.user_id, recipients.c.version).where(
            recipients.c.announced >= recipients.c.version
        ),
        _by_version("recipient.changed", "user_id"),
        _recipients,
    ),
    Copies(
        "RECIPIENTS",
        (RecipientForgotten.pattern,),
        select(forgotten_recipients).where(forgotten_recipients.c.announced),
        _by_version("recipient.forgotten", "user_id"),
        _forgotten,
    ),
    Copies(
        "RECIPIENTS", (ChatChanged.pattern,), select(chats_told).where(chats_told.c.announced),
        _by_chat(_told), _chats,
    ),
    Copies(
        "RECIPIENTS", (ChatChanged.pattern,), select(migrated_chats).where(migrated_chats.c.announced),
        _by_chat(_moved), _chats,
    ),
)  # fmt: skip

KEEPING = Keeping(books.SOURCES, COPIES)
