"""Idempotency keys: a request that comes again gets the answer that it got."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.gateway.store.turns import Turns
from shared.database import Database

_FIND = text("""
    SELECT request_sha256, response FROM idempotency_keys WHERE api_key_id = :api_key_id AND key = :key""")

# Its foreign key waits for whoever has the API key's row locked, but not for long.
_TAKE = text("""
    WITH moment AS MATERIALIZED (SELECT set_config('lock_timeout', :patience, true))
    INSERT INTO idempotency_keys AS known (api_key_id, key, request_sha256)
    SELECT CAST(:api_key_id AS uuid), CAST(:key AS text), CAST(:request_sha256 AS bytea) FROM moment
    ON CONFLICT (api_key_id, key) DO UPDATE SET key = known.key
    RETURNING request_sha256""")

_SETTLE = text("""
    UPDATE idempotency_keys SET response = CAST(:response AS jsonb)
    WHERE api_key_id = :api_key_id AND key = :key""")

_PURGE = text("DELETE FROM idempotency_keys WHERE created_at < now() - interval '7 days'")


class OtherRequest(Exception):
    """The key was used for a request with another body."""


class Idempotency:
    """The idempotency keys of every API key, kept for a week."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = Turns()

    async def answer_to(self, api_key_id: UUID, key: str, request_sha256: bytes) -> Any:
        """Return the answer that the request got before, or None; raises OtherRequest."""
        row = await self._database.row(_FIND, api_key_id=api_key_id, key=key)
        if row is None:
            return None
        if row["request_sha256"] != request_sha256:
            raise OtherRequest
        return row["response"]

    async def take(self, api_key_id: UUID, key: str, request_sha256: bytes) -> None:
        """Bind the key to the request; raises OtherRequest when another one was faster.

        Raises KeyHeld when the database keeps the caller's API key waiting; those of others need not.
        """
        async with self._turns.turn(api_key_id) as patience:
            held = await self._database.value(
                _TAKE, api_key_id=api_key_id, key=key, request_sha256=request_sha256, patience=patience
            )
        if held != request_sha256:
            raise OtherRequest

    async def settle(self, api_key_id: UUID, key: str, response: str) -> None:
        """Remember the answer, as JSON text."""
        await self._database.execute(_SETTLE, api_key_id=api_key_id, key=key, response=response)

    async def purge(self) -> int:
        """Forget keys older than a week; return how many."""
        return await self._database.execute(_PURGE)
