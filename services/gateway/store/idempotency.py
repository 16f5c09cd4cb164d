"""Idempotency keys: a request that comes again gets the answer that it got."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import Database

_FIND = text("""
    SELECT request_sha256, response FROM idempotency_keys WHERE api_key_id = :api_key_id AND key = :key""")

_TAKE = text("""
    INSERT INTO idempotency_keys AS known (api_key_id, key, request_sha256)
    VALUES (:api_key_id, :key, :request_sha256)
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

    async def answer_to(self, api_key_id: UUID, key: str, request_sha256: bytes) -> Any:
        """Return the answer that the request got before, or None; raises OtherRequest."""
        row = await self._database.row(_FIND, api_key_id=api_key_id, key=key)
        if row is None:
            return None
        if row["request_sha256"] != request_sha256:
            raise OtherRequest
        return row["response"]

    async def take(self, api_key_id: UUID, key: str, request_sha256: bytes) -> None:
        """Bind the key to the request; raises OtherRequest when another one was faster."""
        held = await self._database.value(
            _TAKE, api_key_id=api_key_id, key=key, request_sha256=request_sha256
        )
        if held != request_sha256:
            raise OtherRequest

    async def settle(self, api_key_id: UUID, key: str, response: str) -> None:
        """Remember the answer, as JSON text."""
        await self._database.execute(_SETTLE, api_key_id=api_key_id, key=key, response=response)

    async def purge(self) -> int:
        """Forget keys older than a week; return how many."""
        return await self._database.execute(_PURGE)
