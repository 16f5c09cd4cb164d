"""The ledger: a row per intended send, claimed before it is attempted and answered after it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.policy import LANE_RANK, Again, Finish
from services.senders.domain.requests import Delivery, Request
from services.senders.store import statements as sql
from shared.database import Database
from shared.events import Channel, State
from shared.ids import delivery_of


class Ledger:
    """Every message and its deliveries."""

    def __init__(self, database: Database, *, lease_seconds: float, hold_seconds: float = 60.0) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._hold_seconds = hold_seconds

    async def accept(
        self, request: Request, *, replay: bool = False, trace: str | None = None
    ) -> UUID | None:
        """Write a message down with its first delivery; return the delivery that is to be worked on now.

        None when the message has been attempted already, or is not to be sent yet: then its row says what
        comes next. A replay takes a dead letter up again. `trace` is the message's `traceparent`.
        """
        delivery_id = delivery_of(request.id, request.channels[0])
        async with self._database.begin() as connection:
            is_new = await connection.execute(
                sql.ADD_MESSAGE,
                {
                    "id": request.id,
                    "lane": request.lane,
                    "user_id": request.user_id,
                    "template": request.template,
                    "campaign_id": request.campaign_id,
                    "request": request.model_dump_json(),
                    "expires_at": request.expires_at,
                    "trace": trace,
                },
            )
            if is_new.first():
                await self._add_delivery(connection, request, 0, not_before=request.not_before)
                return None if request.not_before else delivery_id
            taken = self._hold({"message_id": request.id})
            if replay and (revived := (await connection.execute(sql.REVIVE, taken)).scalar()):
                return UUID(str(revived))
            if request.not_before:
                return None
            resumed = (await connection.execute(sql.RESUME, taken)).scalar()
            return UUID(str(resumed)) if resumed else None

    async def load(self, delivery_id: UUID) -> Delivery | None:
        """Return a delivery that waits for an attempt, or None when it does not wait (any more)."""
        row = await self._database.row(sql.LOAD, id=delivery_id)
        return _delivery(row) if row else None

    async def claim(self, delivery: Delivery, *, bot: str | None, chat_id: int | None) -> int | None:
        """Claim the next attempt: return its number, or None when somebody else was faster.

        Committed before the send is attempted: what is found claimed with its lease over may have been
        sent.
        """
        attempt: int | None = await self._database.value(
            sql.CLAIM,
            id=delivery.id,
            attempt=delivery.attempt,
            lease=self._lease_seconds,
            bot=bot,
            chat_id=chat_id,
        )
        return attempt

    async def finish(self, delivery: Delivery, attempt: int, end: Finish) -> tuple[bool, UUID | None]:
        """End a delivery, and open the next one of its chain if that goes on.

        Return whether this attempt was still the one that counts (a process that was stopped and wakes
        up later overwrites nothing), and the next delivery's id.
        """
        async with self._database.begin() as connection:
            written = await connection.execute(
                sql.FINISH,
                {
                    "id": delivery.id,
                    "attempt": attempt,
                    "state": end.state,
                    "reason": end.reason,
                    "provider_message_id": end.provider_message_id,
                },
            )
            if not written.first():
                return False, None
            await self._note(connection, delivery.id, attempt, end.state, end.reason, end.provider_message_id)
            if not (end.chain_goes_on and delivery.next_channel):
                return True, None
            await self._add_delivery(connection, delivery.request, delivery.position + 1)
            return True, delivery_of(delivery.request.id, delivery.next_channel)

    async def wait(self, delivery: Delivery, attempt: int, again: Again) -> None:
        """Let a claimed delivery wait for its next attempt."""
        async with self._database.begin() as connection:
            written = await connection.execute(
                sql.WAIT,
                {
                    "id": delivery.id,
                    "attempt": attempt,
                    "seconds": again.seconds,
                    "reason": again.reason,
                    "tries": int(again.counted == "try"),
                    "greylists": int(again.counted == "greylist"),
                    "resent": again.counted == "resend",
                },
            )
            if written.first():
                await self._note(connection, delivery.id, attempt, State.PENDING, again.reason, None)

    async def postpone(self, delivery: Delivery, seconds: float, reason: str, *, faults: int = 0) -> None:
        """Let a delivery that was not claimed wait; `faults` are counted, and nothing else."""
        await self._database.execute(
            sql.POSTPONE,
            id=delivery.id,
            attempt=delivery.attempt,
            seconds=seconds,
            reason=reason,
            faults=faults,
        )

    async def take_due(self, channel: Channel, limit: int) -> list[UUID]:
        """Take what is due on a channel, higher lanes first; no other process takes it for a while."""
        rows = await self._database.rows(sql.TAKE_DUE, **self._hold({"channel": channel, "limit": limit}))
        order = {row["id"]: (row["lane_rank"], row["was_due_at"]) for row in rows}
        return sorted(order, key=lambda delivery_id: order[delivery_id])

    async def abandoned(self, limit: int = 100) -> list[tuple[Delivery, int]]:
        """Return claimed deliveries whose lease is over, with the attempt that nobody answered."""
        rows = await self._database.rows(sql.ABANDONED, limit=limit)
        return [(_delivery(row), row["attempt"]) for row in rows]

    async def unannounced(self, *, older_than: float, limit: int = 200) -> Sequence[RowMapping]:
        """Return ended deliveries whose outcome may not have been published."""
        return await self._database.rows(sql.UNANNOUNCED, seconds=older_than, limit=limit)

    async def outcome(self, delivery_id: UUID) -> RowMapping | None:
        """Return an ended delivery with what its outcome event tells."""
        return await self._database.row(sql.OUTCOME, id=delivery_id)

    async def announced(self, delivery_id: UUID, state: str, attempt: int) -> None:
        """Note that the outcome of this state and attempt is published."""
        await self._database.execute(sql.ANNOUNCED, id=delivery_id, state=state, attempt=attempt)

    async def settle(self, delivery_id: UUID, bot: str, chat_id: int, message_id: int | None) -> UUID | None:
        """Take a press as proof that an unanswered delivery arrived, if chat and bot are its own."""
        async with self._database.begin() as connection:
            settled = await connection.execute(
                sql.SETTLE,
                {
                    "id": delivery_id,
                    "bot": bot,
                    "chat_id": chat_id,
                    "message_id": str(message_id or "") or None,
                },
            )
            row = settled.mappings().first()
            if row is None:
                return None
            await self._note(
                connection, delivery_id, row["attempt"], State.SENT, "settled", row["provider_message_id"]
            )
            return delivery_id

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

    async def bury(self, request: Request) -> list[UUID]:
        """End a message whose event became a dead letter; return the deliveries that ended."""
        await self.accept(request)
        async with self._database.begin() as connection:
            rows = (await connection.execute(sql.BURY, {"message_id": request.id})).mappings().all()
            for row in rows:
                await self._note(connection, row["id"], row["attempt"], State.FAILED, "dead_letter", None)
        return [row["id"] for row in rows]

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

    async def _add_delivery(
        self,
        connection: AsyncConnection,
        request: Request,
        position: int,
        *,
        not_before: datetime | None = None,
    ) -> None:
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
                    "not_before": not_before,
                    "expires_at": request.expires_at,
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


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        id=row["id"],
        request=Request.model_validate(row["request"]),
        channel=Channel(row["channel"]),
        position=row["position"],
        attempt=row["attempt"],
        tries=row["tries"],
        greylists=row["greylists"],
        faults=row["faults"],
        resent=row["resent"],
        cancelled=row["cancelled"],
        trace=row["trace"],
    )
