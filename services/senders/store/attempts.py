"""The attempts at a delivery: accepted, claimed before the send, answered after it."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping

from services.senders.domain.policy import LANE_RANK, Again, Finish
from services.senders.domain.requests import Delivery, Request
from services.senders.store import statements as sql
from services.senders.store.book import Book
from services.senders.store.stripping import strip
from shared.database import Database
from shared.events import Channel, Lane, State
from shared.gathering import Gathering, Lookup, columns
from shared.ids import delivery_of, owner_of
from shared.record.redacting import NOBODY

Bench = tuple[Channel, Lane]
"""Who works side by side: a lane of a channel has workers of its own."""
Row = Mapping[str, Any]
LANES = {rank: lane for lane, rank in LANE_RANK.items()}


class Attempts(Book):
    """The part of the ledger that an attempt is written in; what several ask at once is one statement."""

    def __init__(self, database: Database, *, lease_seconds: float, hold_seconds: float = 15.0) -> None:
        super().__init__(database, lease_seconds=lease_seconds, hold_seconds=hold_seconds)
        self._accepting = Gathering("accept", self._accept_all, itemgetter("ids"))
        self._loading = Gathering("load", self._load_all, lambda delivery_id: delivery_id)
        self._claiming = Gathering("claim", self._claim_all, _claims)
        self._rivals = Lookup("rivals", database, sql.RIVALS, "places", "ids")
        self._finishing = Gathering("finish", self._finish_all, itemgetter("ids"))

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
        comes next. None too when it comes late for somebody who is forgotten: it is nobody's then. A replay
        takes a dead letter up again, and what was invalid gives way to what is not. `trace` is the message's
        `traceparent`, `sequence` its place in the stream: first attempts to one address are made in that
        order.
        """
        delivery_id = delivery_of(request.id, request.channels[0])
        accepted = await self._accepting.one(_acceptance(request, delivery_id, trace, sequence))
        if accepted["is_late"]:
            async with self._database.begin() as connection:
                await strip(connection, [request.id], NOBODY)
            return None
        if accepted["is_new"]:
            if request.not_before is None:
                return delivery_id
            self.waits.ring()
            return None
        return await self._take_up(request, delivery_id, replay=replay, trace=trace)

    async def _take_up(
        self, request: Request, delivery_id: UUID, *, replay: bool, trace: str | None
    ) -> UUID | None:
        """Go on with a message that was there already."""
        async with self._database.begin() as connection:
            taken = self._hold({"message_id": request.id})
            if replay and (revived := (await connection.execute(sql.REVIVE, taken)).scalar()):
                return UUID(str(revived))
            if not request.is_stub:
                replacement = self._hold(_replacement(request, delivery_id, trace))
                if (await connection.execute(sql.REPLACE, replacement)).scalar():
                    return None if request.not_before else delivery_id
            if request.not_before:
                return None
            resumed = (await connection.execute(sql.RESUME, taken)).scalar()
            return UUID(str(resumed)) if resumed else None

    async def load(self, delivery_id: UUID, request: Request | None = None) -> Delivery | None:
        """Return a delivery that waits for an attempt, or None when it does not wait (any more).

        Its `request`, where it is known, need not be read again.
        """
        row = await self._loading.one(delivery_id)
        return _delivery(row, request) if row else None

    async def claim(
        self,
        delivery: Delivery,
        *,
        bot: str | None,
        chat_id: int | None,
        keys: Sequence[str] = (),
        place: UUID | None = None,
    ) -> int | None:
        """Claim the next attempt: return its number, or None when somebody else was faster.

        None also while one of the limits' `keys` is paused, and where another delivery has the `place`: what
        a campaign's list has once. Committed before the send is attempted: what is found claimed with its
        lease over may have been sent.
        """
        claim = {
            "ids": delivery.id, "attempts": delivery.attempt, "bots": bot, "chat_ids": chat_id, "keys": keys,
            "places": place,
        }  # fmt: skip
        return await self._claiming.one(claim)

    async def rival(self, delivery: Delivery, place: UUID) -> tuple[State, float] | None:
        """Return state and seconds until due of the other delivery that has a place; None where it is free.

        It becomes free where what the other was to show there will never be shown.
        """
        rows = await self._rivals.rows(place, delivery.id)
        if any(row["left_behind"] for row in rows):
            # The address is another one since the last attempt.
            own = {"id": delivery.id, "attempt": delivery.attempt, "place": place}
            await self._database.execute(sql.LEAVE, **own)
        row = next((row for row in rows if not row["left_behind"]), None)
        if row is None:
            return None
        if row["state"] not in (State.FAILED, State.SUPPRESSED):
            return State.PENDING if row["state"] == "sending" else State(row["state"]), row["due_in"]
        rival = {"place": place, "rival": row["id"]}
        async with self._database.begin() as connection:
            if (await connection.execute(sql.LOCK_RIVAL, rival)).scalar():
                await connection.execute(sql.VACATE, rival)
        return None

    async def release(self, delivery: Delivery, attempt: int) -> None:
        """Give a claim back under which nothing was sent; the delivery is due at once."""
        await self._database.execute(sql.RELEASE, id=delivery.id, attempt=attempt)
        self.waits.ring()

    async def finish(
        self, delivery: Delivery, attempt: int, end: Finish
    ) -> tuple[RowMapping | None, UUID | None]:
        """End a delivery, and open the next one of its chain if that goes on.

        Return its row if this attempt was still the one that counts (a process that was stopped and wakes
        up later overwrites nothing), and the next delivery's id.
        """
        ending = {
            "ids": delivery.id, "attempts": attempt, "states": end.state, "reasons": end.reason,
            "provider_message_ids": end.provider_message_id,
        }  # fmt: skip
        if not (end.chain_goes_on and delivery.next_channel):
            return await self._finishing.one(ending), None
        async with self._database.begin() as connection:
            ended = (await connection.execute(sql.FINISH, columns([ending]))).mappings().first()
            if ended is None:
                return None, None
            await self._add_delivery(connection, delivery.request, delivery.position + 1)
        return ended, delivery_of(delivery.request.id, delivery.next_channel)

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
        self.waits.ring()

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
        self.waits.ring()

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

    async def due_in(self) -> float | None:
        """Return in how many seconds the next delivery is due (below zero: it is), None when none waits."""
        channels, lanes = [*Channel] * len(LANES), [rank for rank in LANES for _ in Channel]
        seconds = await self._database.value(sql.DUE_IN, channels=channels, ranks=lanes)
        return None if seconds is None else float(seconds)

    async def abandoned(self, limit: int = 100) -> list[tuple[Delivery, int]]:
        """Return claimed deliveries whose lease is over, with the attempt that nobody answered."""
        rows = await self._database.rows(sql.ABANDONED, limit=limit)
        return [(_delivery(row), row["attempt"]) for row in rows]

    async def _accept_all(self, acceptances: Sequence[Row]) -> list[RowMapping]:
        parameters = self._hold(columns(_ordered(acceptances)))
        accepted = {row["id"]: row for row in await self._database.rows(sql.ACCEPT, **parameters)}
        return [accepted[each["ids"]] for each in acceptances]

    async def _load_all(self, ids: Sequence[UUID]) -> list[RowMapping | None]:
        found = {row["id"]: row for row in await self._database.rows(sql.LOAD, ids=list(ids))}
        return [found.get(each) for each in ids]

    async def _claim_all(self, claims: Sequence[Row]) -> list[int | None]:
        asked = columns(_ordered(claims))
        pairs = [(each["ids"], key) for each in claims for key in each["keys"]]
        parameters = asked | {"of": [each for each, _ in pairs], "keys": [key for _, key in pairs]}
        rows = await self._database.rows(sql.CLAIM, **parameters, lease=self._lease_seconds)
        # Of one delivery that is claimed for two places at the same moment, one claim counts.
        claimed = {(row["id"], row["place"]): row["attempt"] for row in rows}
        return [claimed.get((each["ids"], each["places"])) for each in claims]

    async def _finish_all(self, endings: Sequence[Row]) -> list[RowMapping | None]:
        rows = await self._database.rows(sql.FINISH, **columns(_ordered(endings)))
        ended = {row["id"]: row for row in rows}
        return [ended.get(each["ids"]) for each in endings]


def _claims(claim: Row) -> UUID:
    """Return what only one claim of a statement may name: its place, where it has one."""
    claimed: UUID = claim["places"] or claim["ids"]
    return claimed


def _ordered(rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows in the order in which everybody locks them."""
    return sorted(rows, key=itemgetter("ids"))


def _acceptance(request: Request, delivery_id: UUID, trace: str | None, sequence: int | None) -> Row:
    in_turn = sequence is not None and request.not_before is None
    return {
        "ids": request.id,
        "lanes": request.lane,
        "user_ids": request.user_id,
        "templates": request.template,
        "campaign_ids": request.campaign_id,
        "requests": request.model_dump_json(),
        "expiries": request.expires_at,
        "traces": trace,
        "delivery_ids": delivery_id,
        "channels": request.channels[0],
        "ranks": LANE_RANK[request.lane],
        "queues": request.queue if in_turn else None,
        "sequences": sequence,
        "not_befores": request.not_before,
        "owners": owner_of(request.address.telegram_chat_id if request.address else None),
        "requested": request.requested_at,
    }


def _replacement(request: Request, delivery_id: UUID, trace: str | None) -> dict[str, Any]:
    return {
        "id": request.id,
        "lane": request.lane,
        "user_id": request.user_id,
        "template": request.template,
        "campaign_id": request.campaign_id,
        "request": request.model_dump_json(),
        "expires_at": request.expires_at,
        "trace": trace,
        "delivery_id": delivery_id,
        "channel": request.channels[0],
        "rank": LANE_RANK[request.lane],
        "not_before": request.not_before,
    }


def _delivery(row: RowMapping, known: Request | None = None) -> Delivery:
    # A request that comes again may say something else, and who is named in it may be forgotten since: what
    # the ledger has counts.
    same = known is not None and row["request"] == orjson.loads(known.model_dump_json())
    request = known if known and same else Request.model_validate(row["request"])
    return Delivery(
        id=row["id"],
        request=request,
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
