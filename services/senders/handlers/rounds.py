"""The rounds: what is due, abandoned, untold or to be expanded, taken up again and again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from services.senders.domain.policy import Again, in_doubt
from services.senders.handlers.announcing import Announcer
from services.senders.handlers.desk import Desk
from services.senders.store import Bench, Campaigns, Expansion
from shared import tasks, telemetry
from shared.bus import BusUnavailable, TooLarge
from shared.database import is_conflict, is_unavailable
from shared.events import Address, Body, Channel, Lane, MessageRequested, campaign_item_id
from shared.failpoints import passing

DUE_SECONDS = 0.1
REST_SECONDS = 0.6
"""While nothing happens here: what another process has left is looked for so often."""
EXPAND_SECONDS = 0.4
SLOW_SECONDS = 1.0
MOVE_SECONDS = 0.6
FORGET_SECONDS = 5.0
TIDY_SECONDS = 600.0
AWAY_SECONDS = 2.0
STOP_SECONDS = 35.0
WORKERS = 8
CHUNK = 100
LAG = 5 * CHUNK
"""So many of a campaign's messages may be in the stream that the ledger does not know yet."""

log = telemetry.logger(__name__)


class Rounds:
    """The loops of a process; any number of processes may run them side by side."""

    def __init__(
        self, desk: Desk, campaigns: Campaigns, announcer: Announcer, workers: int = WORKERS
    ) -> None:
        self._desk = desk
        self._campaigns = campaigns
        self._announcer = announcer
        self._workers = workers
        # Workers of its own per channel and lane: what hangs or is plenty holds up nobody else.
        self._running: dict[Bench, dict[UUID, asyncio.Task[None]]] = {
            (channel, lane): {} for channel in Channel for lane in Lane
        }
        self._taking: set[asyncio.Task[Counter[Bench]]] = set()
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Go the rounds until cancelled, once; then wait for the attempts that run."""
        rounds = [
            asyncio.create_task(_forever(name, step, seconds))
            for name, step, seconds in (
                ("due", self._due, 0.0),
                ("abandoned", self._abandoned, SLOW_SECONDS),
                ("untold", self._untold, SLOW_SECONDS),
                ("tidy", self._tidy, TIDY_SECONDS),
                ("campaigns", self._expand, DUE_SECONDS),
                ("lists", self._list, 0.0),
                ("moves", self._move, MOVE_SECONDS),
                ("forgotten", self._forget, FORGET_SECONDS),
            )
        ]
        try:
            await asyncio.gather(*rounds)
        finally:
            await tasks.cancel(*rounds)
            await asyncio.gather(*self._taking, return_exceptions=True)
            if attempts := [each for running in self._running.values() for each in running.values()]:
                await asyncio.wait(attempts, timeout=STOP_SECONDS)

    async def _due(self) -> None:
        """Take what is due, now and when there is room again for more of it."""
        self._freed.clear()
        waits = self._desk.ledger.waits.rung
        rooms = {
            bench: room for bench, running in self._running.items() if (room := self._workers - len(running))
        }
        taking = asyncio.create_task(self._take(rooms))
        self._taking.add(taking)
        taking.add_done_callback(self._taking.discard)
        # Stopped in the middle, taken rows would be held off everybody until their hold is over.
        taken = await asyncio.shield(taking)
        if any(taken[bench] >= room for bench, room in rooms.items()) or len(rooms) < len(self._running):
            await tasks.wait(self._freed, DUE_SECONDS)
            await asyncio.sleep(DUE_SECONDS / 10)
        else:
            await asyncio.sleep(DUE_SECONDS)
            if not taken:
                await self._rest(waits)

    async def _rest(self, waits: int) -> None:
        """Wait until something is due, is written down here as due later, or may be by another process."""
        due_in = await self._desk.ledger.due_in()
        await self._desk.ledger.waits.wait(
            waits, REST_SECONDS if due_in is None else min(due_in, REST_SECONDS)
        )

    async def _take(self, rooms: Mapping[Bench, int]) -> Counter[Bench]:
        taken: Counter[Bench] = Counter()
        for bench, delivery_id in await self._desk.ledger.take_due(rooms):
            taken[bench] += 1
            running = self._running[bench]
            if delivery_id not in running:
                running[delivery_id] = asyncio.create_task(self._send(bench, delivery_id))
        return taken

    async def _send(self, bench: Bench, delivery_id: UUID) -> None:
        try:
            await self._desk.send(delivery_id)
        except Exception as error:  # noqa: BLE001 - the boundary of an attempt: its row stays due
            log.error("attempt_failed", delivery_id=str(delivery_id), error=type(error).__name__,
                      where=telemetry.where(error))  # fmt: skip
            if not _is_away(error):
                await self._stumbled(delivery_id)
        finally:
            self._running[bench].pop(delivery_id, None)
            self._freed.set()

    async def _stumbled(self, delivery_id: UUID) -> None:
        try:
            await self._desk.stumbled(delivery_id)
        except Exception as error:  # noqa: BLE001 - as above
            log.error("attempt_not_counted", delivery_id=str(delivery_id), error=type(error).__name__)

    async def _abandoned(self) -> None:
        """Decide about sends that nobody answered: their process died, or stands still."""
        for delivery, attempt in await self._desk.ledger.abandoned():
            decision = in_doubt(delivery, "crashed")
            log.warning("send_in_doubt", delivery_id=str(delivery.id), lane=delivery.request.lane)
            if isinstance(decision, Again):
                await self._desk.ledger.wait(delivery, attempt, decision)
                continue
            ended, _ = await self._desk.ledger.finish(delivery, attempt, decision)
            if ended:
                await self._announcer.ended(ended, delivery.request)

    async def _untold(self) -> None:
        await self._announcer.outcomes(older_than=2.0)
        if not await self._desk.recipients.is_to_tell():
            return
        await self._announcer.recipients()
        await self._announcer.forgotten()
        await self._announcer.chats()
        await self._announcer.migrations()

    async def _forget(self) -> None:
        """Look for the addresses of whoever is forgotten; nobody waits for it."""
        while await self._desk.recipients.sweep(nobody=uuid4()):
            await asyncio.sleep(0)

    async def _tidy(self) -> None:
        """Drop what nobody will ask for again."""
        await self._desk.governor.forget()
        await self._desk.ledger.forget_cancellations()
        await self._desk.recipients.forget_commands()
        await self._desk.recipients.strip_late(nobody=uuid4())

    async def _expand(self) -> None:
        """Publish the next part of a campaign's list, when the one before is nearly done."""
        moved = self._campaigns.moved.rung
        expansion = await self._campaigns.expanding(CHUNK)
        if expansion is None:
            await self._campaigns.moved.wait(moved, REST_SECONDS)
        elif await self._has_room(expansion):
            try:
                requests = [_item(expansion, row) for row in expansion.chunk]
                await asyncio.gather(*(self._desk.publish(request) for request in requests))
            except (ValidationError, TooLarge) as error:
                # It would be so again, and whoever cannot expand it must not stand in others' way.
                campaign_id = str(expansion.campaign["id"])
                log.error("campaign_invalid", campaign_id=campaign_id, error=type(error).__name__)
                await expansion.fail()
                return
            passing("after_expansion")
            await expansion.done()
        else:
            await expansion.leave()
            await asyncio.sleep(EXPAND_SECONDS)

    async def _list(self) -> None:
        """List the next part of an audience whose campaign has begun."""
        moved = self._campaigns.moved.rung
        if not await self._campaigns.list_audience():
            await self._campaigns.moved.wait(moved, REST_SECONDS)

    async def _move(self) -> None:
        """Begin campaigns that are due, let go what was paused, suppress what was cancelled, sum up."""
        if not await self._campaigns.is_to_move():
            return
        await self._campaigns.begin_due()
        await self._campaigns.free_held()
        while ended := await self._campaigns.sweep():
            await asyncio.gather(*(self._announcer.outcome(each) for each in ended))
        await self._campaigns.fold()
        await self._campaigns.end()
        await self._announcer.campaigns()

    async def _has_room(self, expansion: Expansion) -> bool:
        """Say whether a campaign is expanded less than some minutes ahead: pause and cancel act at once."""
        campaign = expansion.campaign
        last = campaign["expanded"] - LAG
        if last >= 0 and not await expansion.is_accepted(campaign_item_id(campaign["id"], last)):
            return False
        at_most = self._desk.limits.work_ahead(campaign["channels"])
        return await expansion.waiting(at_most) < at_most


def _item(expansion: Expansion, row: Mapping[Any, Any]) -> MessageRequested:
    campaign = expansion.campaign
    return MessageRequested(
        id=campaign_item_id(campaign["id"], row["position"]),
        at=datetime.now(UTC),
        lane=Lane.CAMPAIGN,
        channels=tuple(Channel(channel) for channel in campaign["channels"]),
        user_id=row["user_id"],
        address=Address.model_validate(row["address"]) if row["address"] else None,
        bot=campaign["bot"],
        sender=campaign["sender"],
        template=campaign["template"],
        variables={**campaign["variables"], **row["variables"]},
        body=Body.model_validate(campaign["body"]) if campaign["body"] else None,
        expires_at=campaign["expires_at"],
        campaign_id=campaign["id"],
        campaign_position=row["position"],
    )


def _is_away(error: Exception) -> bool:
    return is_unavailable(error) or isinstance(error, BusUnavailable)


async def _forever(name: str, step: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Repeat a step; an outage of broker or database is waited out, and so is a conflict with another."""
    while True:
        try:
            await step()
        except Exception as error:
            if not (_is_away(error) or is_conflict(error)):
                raise
            log.warning("round_waits", round=name, error=type(error).__name__)
            await asyncio.sleep(AWAY_SECONDS)
        await asyncio.sleep(seconds)
