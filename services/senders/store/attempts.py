"""The attempts at a delivery: accepted, claimed before the send, answered after it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import RowMapping

from services.senders.domain.policy import LANE_RANK, Again, Finish
from services.senders.domain.requests import Delivery, Request
from services.senders.store import statements as sql
from services.senders.store.book import Book
from shared.events import Channel, Lane, State
from shared.ids import delivery_of

Bench = tuple[Channel, Lane]
"""Who works side by side: a lane of a channel has workers of its own."""
LANES = {rank: lane for lane, rank in LANE_RANK.items()}


class Attempts(Book):
    """The part of the ledger that an attempt is written in."""

    async def accept(
        self,
        request: Request,
        *,
        replay: bool = False,
        trace: str | None = None,
        sequence: int | None = None,
    ) -> UUID | None:
        """Write a message down with its first delivery; return the delivery that is to be worked on now.

        None when the message has been attempted already, or is not to be sent yet: then its row says what
        comes next. A replay takes a dead letter up again. `trace` is the message's `traceparent`,
        `sequence` its place in the stream: first attempts to one address are made in that order.
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
                await self._add_delivery(
                    connection, request, 0, not_before=request.not_before, sequence=sequence
                )
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

    async def claim(
        self, delivery: Delivery, *, bot: str | None, chat_id: int | None, keys: Sequence[str] = ()
    ) -> int | None:
        """Claim the next attempt: return its number, or None when somebody else was faster.

        None also while one of the limits' `keys` is paused. Committed before the send is attempted: what is
        found claimed with its lease over may have been sent.
        """
        attempt: int | None = await self._database.value(
            sql.CLAIM,
            id=delivery.id,
            attempt=delivery.attempt,
            lease=self._lease_seconds,
            bot=bot,
            chat_id=chat_id,
            keys=list(keys),
        )
        return attempt

    async def release(self, delivery: Delivery, attempt: int) -> None:
        """Give a claim back under which nothing was sent; the delivery is due at once."""
        await self._database.execute(sql.RELEASE, id=delivery.id, attempt=attempt)

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

    async def hold(self, delivery: Delivery) -> None:
        """Hold a delivery of a paused campaign; the rounds make it due when the campaign goes on."""
        await self._database.execute(sql.HOLD, id=delivery.id, attempt=delivery.attempt)

    async def take_due(self, rooms: Mapping[Bench, int]) -> list[tuple[Bench, UUID]]:
        """Take what is due, as much as each bench has room for, the oldest first.

        No other process takes it for a while.
        """
        benches = list(rooms)
        rows = await self._database.rows(
            sql.TAKE_DUE,
            **self._hold(
                {
                    "channels": [channel for channel, _ in benches],
                    "ranks": [LANE_RANK[lane] for _, lane in benches],
                    "rooms": [rooms[bench] for bench in benches],
                }
            ),
        )
        taken = sorted(rows, key=lambda row: (row["lane_rank"], row["was_due_at"]))
        return [((Channel(row["channel"]), LANES[row["lane_rank"]]), row["id"]) for row in taken]

    async def abandoned(self, limit: int = 100) -> list[tuple[Delivery, int]]:
        """Return claimed deliveries whose lease is over, with the attempt that nobody answered."""
        rows = await self._database.rows(sql.ABANDONED, limit=limit)
        return [(_delivery(row), row["attempt"]) for row in rows]


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
        paused=row["paused"],
        behind=row["behind"],
        trace=row["trace"],
    )
