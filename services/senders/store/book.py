"""What every part of the ledger shares: database and times, and how a row and its history are written."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.policy import LANE_RANK
from services.senders.domain.requests import Request
from services.senders.store import statements as sql
from shared.database import Database
from shared.events import State
from shared.ids import delivery_of
from shared.tasks import Bell


class Book:
    """A part of the ledger.

    A claimed send may stay unanswered for `lease_seconds`; whoever works on a delivery keeps the others off
    it for `hold_seconds`.
    """

    def __init__(self, database: Database, *, lease_seconds: float, hold_seconds: float = 15.0) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._hold_seconds = hold_seconds
        self.waits = Bell()
        """Rung when something is written down that is due later."""

    async def _add_delivery(self, connection: AsyncConnection, request: Request, position: int) -> None:
        channel = request.channels[position]
        await connection.execute(
            sql.ADD_DELIVERY,
            self._hold(
                {
                    "id": delivery_of(request.id, channel),
                    "message_id": request.id,
                    "channel": channel,
                    "position": position,
                    "lane_rank": LANE_RANK[request.lane],
                }
            ),
        )

    async def _note(
        self,
        connection: AsyncConnection,
        delivery_id: UUID,
        attempt: int,
        state: State,
        reason: str | None,
        provider_message_id: str | None,
    ) -> None:
        await connection.execute(
            sql.NOTE,
            {
                "id": delivery_id,
                "attempt": attempt,
                "state": state,
                "reason": reason,
                "provider_message_id": provider_message_id,
            },
        )

    def _hold(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Add how long whoever works on a delivery keeps the others off it."""
        return parameters | {"hold": self._hold_seconds}
