"""What became of messages: outcomes that are to be told, and a message with its history."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping

from services.senders.store import statements as sql
from services.senders.store.book import Book
from shared.database import Database
from shared.gathering import Gathering
from shared.topology import DURABLES


class Outcomes(Book):
    """The part of the ledger that is told and asked about."""

    def __init__(self, database: Database, *, lease_seconds: float, hold_seconds: float = 15.0) -> None:
        super().__init__(database, lease_seconds=lease_seconds, hold_seconds=hold_seconds)
        self._announcing = Gathering("announced", self._announced_all, lambda told: told)

    async def unannounced(self, *, older_than: float, limit: int = 200) -> Sequence[RowMapping]:
        """Return ended deliveries whose outcome may not have been published."""
        return await self._database.rows(sql.UNANNOUNCED, seconds=older_than, limit=limit)

    async def outcome(self, delivery_id: UUID) -> RowMapping | None:
        """Return an ended delivery with what its outcome event tells."""
        return await self._database.row(sql.OUTCOME, id=delivery_id)

    async def announced(self, delivery_id: UUID, state: str, attempt: int) -> None:
        """Note that the outcome of this state and attempt is published."""
        await self._announcing.one((delivery_id, state, attempt))

    async def in_doubt(
        self, limit: int, *, campaign_id: UUID | None = None, before: tuple[datetime, UUID] | None = None
    ) -> Sequence[RowMapping]:
        """Return ambiguous deliveries, newest first, of a campaign or of all; `before` is time and id."""
        at, key = before or (None, None)
        return await self._database.rows(sql.IN_DOUBT, campaign_id=campaign_id, at=at, id=key, limit=limit)

    async def has_stumbled(self, message_id: UUID) -> bool:
        """Say whether an attempt at a message met an unforeseen fault, and is to be made again."""
        durables = [durable.name for durable in DURABLES if durable.name.startswith("senders_")]
        return bool(await self._database.value(sql.STUMBLED, durables=durables, key=f"{message_id}~0"))

    async def message(
        self, message_id: UUID
    ) -> tuple[RowMapping, Sequence[RowMapping], Sequence[RowMapping]] | None:
        """Return a message, its deliveries and its history, or None when it is unknown."""
        async with self._database.begin() as connection:
            found = (await connection.execute(sql.MESSAGE, {"id": message_id})).mappings().first()
            if found is None:
                return None
            deliveries = (await connection.execute(sql.DELIVERIES, {"id": message_id})).mappings().all()
            history = (await connection.execute(sql.HISTORY, {"id": message_id})).mappings().all()
            return found, deliveries, history

    async def _announced_all(self, told: Sequence[tuple[UUID, str, int]]) -> list[None]:
        ids, states, attempts = zip(*sorted(told), strict=True)
        parameters = {"ids": list(ids), "states": list(states), "attempts": list(attempts)}
        await self._database.execute(sql.ANNOUNCED, **parameters)
        return [None] * len(told)
