"""What the update log can tell again of what the streams have said."""

from collections.abc import Iterable, Sequence

from sqlalchemy import RowMapping, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.tables import telegram_webhooks
from shared.events import Event, UpdateHandled, UpdateReceived, update_handled_id, update_id_of
from shared.record.reconciling import Copies

_log = telegram_webhooks.c
# A press on a promo's button is an update that clicks tells of: nobody has handled it here.
_UPDATES = select(_log.bot_id, _log.update_id).where(
    (_log.handling_seconds.is_not(None)) | (_log.status == "received")
)
_HANDLED = select(_log.bot_id, _log.update_id).where(_log.handling_seconds.is_not(None))


def _received(row: RowMapping) -> Iterable[tuple[str, str]]:
    yield str(update_id_of(row["bot_id"], row["update_id"])), f"{row['bot_id']} {row['update_id']}"


def _handled(row: RowMapping) -> Iterable[tuple[str, str]]:
    yield str(update_handled_id(row["bot_id"], row["update_id"])), f"{row['bot_id']} {row['update_id']}"


async def _events(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    return _of(await _rows(connection, refs))


async def _whole_events(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    """Make the events of rows that know of the first of them: the others have nothing to follow."""
    return _of([row for row in await _rows(connection, refs) if row["update"] is not None])


async def _rows(connection: AsyncConnection, refs: Sequence[str]) -> Sequence[RowMapping]:
    keys = [(int(bot_id), int(update_id)) for bot_id, update_id in (ref.split() for ref in refs)]
    found = await connection.execute(
        select(telegram_webhooks).where(tuple_(_log.bot_id, _log.update_id).in_(keys))
    )
    return found.mappings().all()


def _of(rows: Sequence[RowMapping]) -> list[Event]:
    events: list[Event] = []
    for row in rows:
        numbers = row["bot_id"], row["update_id"]
        if row["update"] is not None:
            events.append(
                UpdateReceived(
                    id=update_id_of(*numbers), at=row["received_at"], bot=row["bot"], bot_id=numbers[0],
                    update_id=numbers[1], kind=row["kind"], update=row["update"],
                )
            )  # fmt: skip
        if row["status"] != "received" and row["handling_seconds"] is not None:
            events.append(
                UpdateHandled(
                    id=update_handled_id(*numbers), at=row["received_at"], bot_id=numbers[0],
                    update_id=numbers[1], status=row["status"], command=row["command"], error=row["error"],
                    handling_seconds=row["handling_seconds"],
                )
            )  # fmt: skip
    return events


COPIES = (
    # What was done with an update means nothing before the update.
    Copies("UPDATES", ("updates.>",), _UPDATES, _received, _whole_events, in_order=True),
    Copies("UPDATES", ("handled.>",), _HANDLED, _handled, _events),
)
