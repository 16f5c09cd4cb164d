"""What the services' tables know of what is wanted."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import RowMapping, text

from carillon.why.steps import Step
from carillon.why.wanted import Wanted
from shared.database import Database
from shared.events import promo_due_id

_MESSAGES = text("""
    SELECT id, lane, template, campaign_id, expires_at, trace, created_at FROM messages
    WHERE id = ANY(CAST(:events AS uuid[]))
        OR id IN (SELECT message_id FROM deliveries WHERE id = ANY(CAST(:deliveries AS uuid[])))""")
_DELIVERIES = text("""
    SELECT id, message_id, channel, position, state, attempt, due_at, reason, provider_message_id, bot,
        chat_id, updated_at
    FROM deliveries
    WHERE message_id = ANY(CAST(:events AS uuid[])) OR id = ANY(CAST(:deliveries AS uuid[]))
    ORDER BY message_id, position""")
_HISTORY = text("""
    SELECT delivery_id, attempt, state, reason, provider_message_id, at FROM delivery_history
    WHERE delivery_id = ANY(CAST(:deliveries AS uuid[]))""")
_UPDATES = text("""
    SELECT bot, bot_id, update_id, kind, command, status, error, chat_id, received_at, handling_seconds
    FROM telegram_webhooks
    WHERE update_id = ANY(CAST(:numbers AS bigint[]))""")
_CLICKS = text("""
    SELECT id, promo_id, source, bot, chat_id, message_id, delivery_id, clicked_at FROM marketing_clicks
    WHERE id = ANY(CAST(:events AS uuid[])) OR delivery_id = ANY(CAST(:deliveries AS uuid[]))
    ORDER BY clicked_at LIMIT 1000""")
_ANNOTATIONS = text("SELECT id FROM click_annotations WHERE click_id = ANY(CAST(:events AS uuid[]))")
_SLOT = text("""
    SELECT schedule_id, slot, decided_at, bot, chat_ids, promo_id, until, skipped, announced_at FROM slots
    WHERE schedule_id = :schedule_id AND slot = :slot""")
_LOG = text("""
    SELECT id, schedule_id, slot, promo_id, chat_id, state, attempt, provider_message_id, reason, due_at
    FROM promo_log_chats
    WHERE id = ANY(CAST(:events AS uuid[])) AND due_at IS NOT NULL""")


async def of_senders(database: Database, wanted: Wanted) -> AsyncIterator[Step]:
    """Yield messages, deliveries and attempts; what they name is wanted from then on."""
    asked: dict[str, Any] = {"events": list(wanted.events), "deliveries": list(wanted.deliveries)}
    for row in await database.rows(_MESSAGES, **asked):
        wanted.add_message(row["id"])
        trace_id = _trace(row["trace"])
        if trace_id and row["lane"] == "transactional":
            wanted.traces.add(trace_id)
        yield Step(
            f"message {row['id']}", row["created_at"], "senders", f"message accepted ({row['lane']})",
            parent=f"event {row['id']}", trace_id=trace_id,
            details=_some(row, "template", "campaign_id", "expires_at"),
        )  # fmt: skip
    found = await database.rows(_DELIVERIES, events=list(wanted.events), deliveries=list(wanted.deliveries))
    for row in found:
        wanted.add_attempts(row["id"], row["attempt"])
        wanted.add_message(row["message_id"])
        yield Step(
            f"delivery {row['id']}", row["updated_at"], "senders",
            f"{row['channel']} delivery: {row['state']}",
            parent=f"message {row['message_id']}", attempt=row["attempt"],
            details=_some(row, "reason", "bot", "chat_id", "provider_message_id")
            | ({"due_at": row["due_at"]} if row["state"] == "pending" else {}),
        )  # fmt: skip
    for row in await database.rows(_HISTORY, deliveries=[row["id"] for row in found]):
        yield Step(
            f"attempt {row['delivery_id']} {row['attempt']} {row['state']}", row["at"], "senders",
            f"attempt {row['attempt']}: {row['state']}",
            parent=f"delivery {row['delivery_id']}", attempt=row["attempt"],
            details=_some(row, "reason", "provider_message_id"),
        )  # fmt: skip


async def of_gateway(database: Database, wanted: Wanted) -> AsyncIterator[Step]:
    """Yield the update log's lines."""
    numbers = {update_id for _, update_id in wanted.updates}
    for row in await database.rows(_UPDATES, numbers=list(numbers)):
        bots = {bot_id for bot_id, update_id in wanted.updates if update_id == row["update_id"]}
        if row["bot_id"] not in bots and None not in bots:
            continue
        wanted.add_update(row["bot_id"], row["update_id"])
        yield Step(
            f"update {row['bot_id']}:{row['update_id']}", row["received_at"], "gateway",
            f"{row['kind']} {row['status']}",
            details=_some(row, "bot", "update_id", "command", "chat_id", "handling_seconds", "error"),
        )  # fmt: skip


async def of_clicks(database: Database, wanted: Wanted) -> AsyncIterator[Step]:
    """Yield presses, those on a wanted delivery too."""
    asked: dict[str, Any] = {"events": list(wanted.events), "deliveries": list(wanted.deliveries)}
    for row in await database.rows(_CLICKS, **asked):
        wanted.events.add(row["id"])
        if row["delivery_id"] is not None:
            wanted.deliveries.add(row["delivery_id"])
        yield Step(
            f"click {row['id']}", row["clicked_at"], "clicks", f"press counted ({row['source']})",
            parent=f"event {row['id']}", details=_some(row, "promo_id", "bot", "chat_id", "message_id"),
        )  # fmt: skip

    notes = await database.rows(_ANNOTATIONS, events=list(wanted.events))
    wanted.events |= {row["id"] for row in notes}


async def of_scheduler(database: Database, wanted: Wanted) -> AsyncIterator[Step]:
    """Yield the slot that is asked about, and the promo log's lines."""
    if wanted.slot is not None:
        row = await database.row(_SLOT, schedule_id=wanted.slot[0], slot=wanted.slot[1])
        if row is not None:
            for chat_id in row["chat_ids"] if row["skipped"] is None else ():
                wanted.add_message(promo_due_id(row["schedule_id"], row["slot"], chat_id))
            yield _slot_of(row)
    for row in await database.rows(_LOG, events=list(wanted.events)):
        yield Step(
            f"log {row['id']}", row["due_at"], "scheduler", f"promo log: {row['state']}",
            parent=f"event {row['id']}", attempt=row["attempt"],
            details=_some(row, "promo_id", "slot", "chat_id", "reason", "provider_message_id"),
        )  # fmt: skip


def _slot_of(row: RowMapping) -> Step:
    what = f"slot skipped ({row['skipped']})" if row["skipped"] else f"slot decided: {row['promo_id']}"
    return Step(
        f"slot {row['schedule_id']}@{row['slot'].isoformat()}", row["decided_at"], "scheduler", what,
        details=_some(row, "schedule_id", "slot", "bot", "until") | {"chats": len(row["chat_ids"])},
    )  # fmt: skip


def _some(row: RowMapping, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names if row[name] is not None}


def _trace(traceparent: str | None) -> str | None:
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) == 4 else None
