"""Messages that become nobody's: the ledger still counts them, and says nothing of anybody."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# In one order, here as wherever several are changed, and before what hangs on them.
_LOCK_DELIVERIES = text("""
    SELECT FROM deliveries WHERE message_id = ANY(CAST(:message_ids AS uuid[]))
    ORDER BY id FOR NO KEY UPDATE""")
_CANCEL = """
    UPDATE deliveries SET state = CASE WHEN resent THEN 'ambiguous' ELSE 'suppressed' END,
           reason = 'cancelled', queue = NULL, announced = false, updated_at = now()
    WHERE state = 'pending' AND message_id = ANY(CAST(:message_ids AS uuid[]))
    RETURNING id, attempt, state"""
_NOTE = """
    INSERT INTO delivery_history (delivery_id, attempt, state, reason)
    SELECT id, attempt, state, 'cancelled' FROM cancelled
    ON CONFLICT (delivery_id, attempt, state) DO NOTHING"""
_CANCEL_WAITING = text(f"WITH cancelled AS ({_CANCEL}) {_NOTE}")
# A post says what it said to everybody; nothing but its private chat is somebody's.
_STRIP_MESSAGES = text("""
    UPDATE messages SET user_id = CASE WHEN lane = 'promo' THEN user_id ELSE :nobody END,
           request = CASE WHEN lane = 'promo' THEN request - 'address' ELSE
               (request - 'address' - 'variables' - 'body' - 'reply_to_message_id' - 'edit_message_id')
               || jsonb_build_object('user_id', CAST(CAST(:nobody AS uuid) AS text)) END
    WHERE id = ANY(CAST(:message_ids AS uuid[]))""")
_STRIP_DELIVERIES = text("""
    UPDATE deliveries
    SET chat_id = NULL,
        provider_message_id = CASE WHEN channel = 'push' THEN NULL ELSE provider_message_id END
    WHERE message_id = ANY(CAST(:message_ids AS uuid[]))""")
_STRIP_HISTORY = text("""
    UPDATE delivery_history h SET provider_message_id = NULL FROM deliveries d
    WHERE d.id = h.delivery_id AND d.channel = 'push' AND d.message_id = ANY(CAST(:message_ids AS uuid[]))""")
# What stands for an address stays until its campaign ends: somebody else of the list may have it too.
_STRIP_PLACES = text("""
    WITH theirs AS (
        SELECT r.key FROM campaign_reached r JOIN deliveries d ON d.id = r.delivery_id
        WHERE d.message_id = ANY(CAST(:message_ids AS uuid[])) ORDER BY r.key FOR NO KEY UPDATE OF r)
    UPDATE campaign_reached r SET forgotten = true FROM theirs WHERE r.key = theirs.key""")
_STRIP = (
    _LOCK_DELIVERIES, _CANCEL_WAITING, _STRIP_MESSAGES, _STRIP_DELIVERIES, _STRIP_HISTORY, _STRIP_PLACES,
)  # fmt: skip


async def strip(connection: AsyncConnection, message_ids: Sequence[UUID], nobody: UUID) -> None:
    """Make messages nobody's, with the pseudonym `nobody`; what waits of them is cancelled."""
    if not message_ids:
        return
    parameters = {"message_ids": [*message_ids], "nobody": nobody}
    for statement in _STRIP:
        await connection.execute(statement, parameters)
