"""Deliveries that end without an attempt: settled by a press, cancelled, buried."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.senders.domain.requests import Request
from services.senders.store import statements as sql
from services.senders.store.attempts import Attempts
from shared.events import State


class Proof(NamedTuple):
    """What a press tells of a delivery: where its button was pressed, and under which message."""

    delivery_id: UUID
    bot: str
    chat_id: int
    message_id: int | None


class Endings(Attempts):
    """The part of the ledger that ends deliveries from outside."""

    async def settle(self, proofs: Sequence[Proof]) -> list[UUID]:
        """Take presses as proof that unanswered deliveries arrived, if chat and bot are their own."""
        # Many people press one post; the first of them tells of it.
        found = {proof[:3]: proof for proof in reversed(proofs)}.values()
        columns = {
            "ids": [proof.delivery_id for proof in found],
            "bots": [proof.bot for proof in found],
            "chat_ids": [proof.chat_id for proof in found],
            "message_ids": [str(proof.message_id or "") or None for proof in found],
        }
        async with self._database.begin() as connection:
            rows = (await connection.execute(sql.SETTLE, columns)).mappings().all()
            for row in rows:
                await self._note(
                    connection, row["id"], row["attempt"], State.SENT, "settled", row["provider_message_id"]
                )
        return [row["id"] for row in rows]

    async def cancel_promos(
        self, event_id: UUID, schedule_id: UUID, promo_id: str | None, up_to: datetime
    ) -> list[UUID]:
        """Cancel unsent posts, those that are still to come included; return the deliveries that ended."""
        parameters = {"id": event_id, "schedule_id": schedule_id, "promo_id": promo_id, "up_to": up_to}
        async with self._database.begin() as connection:
            await connection.execute(sql.ADD_CANCELLATION, parameters)
            rows = (await connection.execute(sql.CANCEL_PROMOS, parameters)).mappings().all()
            for row in rows:
                await self._note(connection, row["id"], row["attempt"], State.SUPPRESSED, "cancelled", None)
        return [row["id"] for row in rows]

    async def cancel_message(self, message_id: UUID) -> list[UUID]:
        """Cancel what is unsent of a message, one that is still to come included; return what ended.

        The cancellation is committed first: whoever accepts the message meanwhile finds it there.
        """
        parameters = {"message_id": message_id}
        await self._database.execute(sql.ADD_MESSAGE_CANCELLATION, **parameters)
        async with self._database.begin() as connection:
            rows = (await connection.execute(sql.CANCEL_MESSAGE, parameters)).mappings().all()
            for row in rows:
                await self._note(
                    connection, row["id"], row["attempt"], State(row["state"]), "cancelled", None
                )
        return [row["id"] for row in rows]

    async def forget_cancellations(self) -> None:
        """Drop cancellations of messages that have expired."""
        await self._database.execute(sql.FORGET_MESSAGE_CANCELLATIONS)

    async def reject(self, request: Request) -> list[UUID]:
        """End a message of which little more than the id can be read; return the deliveries that ended.

        A message of that id that says something is left as it is.
        """
        await self.accept(request)
        async with self._database.begin() as connection:
            rows = (await connection.execute(sql.REJECT, {"message_id": request.id})).mappings().all()
            for row in rows:
                await self._note(connection, row["id"], row["attempt"], State.FAILED, "invalid", None)
        return [row["id"] for row in rows]

    async def bury(self, request: Request) -> list[UUID]:
        """End a message whose event became a dead letter; return the deliveries that ended."""
        await self.accept(request)
        async with self._database.begin() as connection:
            rows = (await connection.execute(sql.BURY, {"message_id": request.id})).mappings().all()
            for row in rows:
                await self._note(connection, row["id"], row["attempt"], State.FAILED, "dead_letter", None)
        return [row["id"] for row in rows]
