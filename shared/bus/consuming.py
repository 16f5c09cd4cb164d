"""Durable consumption: pull, handle side by side, stop gracefully, wait out what is away.

A message that comes again without a failure on record was handed back untried, or has killed its process.
Such messages are written down before they are handled, a few at a time; whichever was written down when a
process died is handled alone, so that the next crash has one suspect: its neighbours are not to blame.
Leaving finishes what runs and hands back what was not started.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from shared import metrics, tasks, telemetry
from shared.bus.envelope import Arrived
from shared.bus.handling import OUTAGE_NAK_SECONDS, Consumer, Handling, Unparsable
from shared.bus.holding import Holding
from shared.bus.pulling import Pulling
from shared.bus.records import Begun
from shared.bus.routes import BatchRoute
from shared.events import Event

PROBE_SECONDS = 1.0
STOP_SECONDS = 30.0
HELD_BYTES = 32 * 1024 * 1024
"""While so much is held, nothing more is asked for."""
BATCH_BYTES = 4 * 1024 * 1024
"""To a batch that is so large nothing more is added."""
AGAIN_AT_ONCE = 8
"""So many at once of those that may have killed their process; each of them is on record first."""
SORTED_BATCHES = 2
"""Batches at once of a durable whose other events are handled each alone."""
GATHER_SECONDS = 0.1
NAP_SECONDS = 0.01

log = telemetry.logger(__name__)


class Consumption:
    """The running consumption of one durable."""

    def __init__(self, consumer: Consumer, on_crash: Callable[[asyncio.Task[None]], None]) -> None:
        self._consumer = consumer
        self._durable = consumer.durable
        self._on_crash = on_crash
        self._pulling = Pulling(consumer.client, consumer.durable, room=self._room, take=self._take)
        self._holding = Holding(consumer.client, consumer.ack_wait_seconds, self._pulling.more_room.set)
        self._handling = Handling(consumer, self._holding, self._pause)
        self._batch_routes = {route.event_class.name: route for route in consumer.batch_routes}
        self._sorts = any(route.alone is not None for route in consumer.batch_routes)
        self._fresh: asyncio.Queue[Arrived] = asyncio.Queue()
        self._single: asyncio.Queue[Arrived] = asyncio.Queue()
        self._again: asyncio.Queue[Arrived] = asyncio.Queue()
        self._room_again = asyncio.Semaphore(AGAIN_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._away = False
        self._unfinished: set[str] = set()

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start pulling and handling."""
        self._pull = self._spawn(self._pulling.run())
        self._spawn(self._renew())
        self._spawn(self._work_again())
        for _ in range(self._batches):
            self._spawn(self._work_batches())
        for _ in range(self._singles):
            self._spawn(self._work())

    async def stop(self) -> None:
        """Stop pulling, hand back what was not started, finish what runs (at most 30 s)."""
        self._stopping = True
        self._pull.cancel()
        for queue in (self._fresh, self._single, self._again):
            while not queue.empty():
                await self._holding.give_back(queue.get_nowait(), 0.0)
        deadline = time.monotonic() + STOP_SECONDS
        while len(self._holding) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await tasks.cancel(*self._tasks)

    @property
    def _batches(self) -> int:
        """How many batches are handled at once."""
        if not self._consumer.batch_routes:
            return 0
        return SORTED_BATCHES if self._sorts else self._durable.concurrency

    @property
    def _singles(self) -> int:
        """How many events are handled at once each alone, those aside that come again."""
        return self._durable.concurrency if self._sorts or not self._consumer.batch_routes else 0

    @property
    def silent_seconds(self) -> float:
        """How long the broker has given no sign of life on this durable."""
        return time.monotonic() - self._pulling.contact_at

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._on_crash)
        return task

    # --- intake -----------------------------------------------------------------------------------------

    def _room(self) -> int:
        if self._stopping or self._away or self._holding.bytes >= HELD_BYTES:
            return 0
        at_work = self._singles + self._batches * self._durable.batch
        return max(0, 2 * at_work - len(self._holding))

    def _take(self, arrived: Arrived) -> None:
        self._holding.take(arrived)
        if arrived.deliveries > 1:
            self._again.put_nowait(arrived)
        elif self._is_single(arrived):
            self._single.put_nowait(arrived)
        else:
            self._fresh.put_nowait(arrived)

    def _is_single(self, arrived: Arrived) -> bool:
        """Say whether an event is none for a batch."""
        if not self._sorts:
            return not self._consumer.batch_routes
        route = self._route_of(arrived)
        if route is None or route.alone is None:
            return route is None
        try:
            return route.alone(self._handling.decode(route.event_class, arrived))
        except Exception:  # noqa: BLE001 - whatever is wrong with it is found, and told, where it is handled
            return True

    def _route_of(self, arrived: Arrived) -> BatchRoute | None:
        return self._batch_routes.get(self._handling.name_of(arrived))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._consumer.ack_wait_seconds / 3)
            await self._holding.renew()

    def _is_late(self, *arrived: Arrived) -> bool:
        """Say whether one of these is not to be started any more."""
        return self._stopping or self._away or self._holding.is_stale(*arrived)

    async def _returned(self, arrived: Arrived) -> bool:
        """Hand a message back that is not to be started now; say whether it was."""
        if not self._is_late(arrived):
            return False
        await self._holding.give_back(arrived, OUTAGE_NAK_SECONDS if self._away else 0.0)
        return True

    # --- work -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            arrived = await self._single.get()
            await self._consumer.turn()
            if not await self._returned(arrived):
                await self._handling.handle(arrived)

    async def _work_again(self) -> None:
        """Handle what has come before; what was begun and never ended, as its process died, alone."""
        while True:
            arrived = await self._again.get()
            if await self._returned(arrived):
                continue
            begun = await self._handling.begin(arrived)
            if begun is None:
                continue
            if begun.crashes:
                await self._handle_suspect(arrived, begun)
            elif begun.failures >= arrived.deliveries - 1:
                self._spawn(self._handling.handle(arrived, begun))
            else:
                # It was handed back untried, or may have killed its process before it was on record.
                await self._room_again.acquire()
                self._spawn(self._handle_again(arrived, begun))

    async def _handle_suspect(self, arrived: Arrived, begun: Begun) -> None:
        for _ in range(AGAIN_AT_ONCE):
            await self._room_again.acquire()
        try:
            await self._handling.handle(arrived, begun)
        finally:
            for _ in range(AGAIN_AT_ONCE):
                self._room_again.release()

    async def _handle_again(self, arrived: Arrived, begun: Begun) -> None:
        try:
            await self._handling.handle(arrived, begun)
        finally:
            self._room_again.release()

    async def _work_batches(self) -> None:
        while True:
            batch = [await self._fresh.get()]
            await self._gather()
            await self._consumer.turn()
            size = len(batch[0].data)
            while not self._fresh.empty() and len(batch) < self._durable.batch and size < BATCH_BYTES:
                batch.append(self._fresh.get_nowait())
                size += len(batch[-1].data)
            if self._is_late(*batch):
                batch = [each for each in batch if not await self._returned(each)]
            await self._handle_batch(batch)

    async def _gather(self) -> None:
        """Wait for a fuller batch, which costs the database less, while more keeps coming; never for long."""
        before, until = 0, time.monotonic() + GATHER_SECONDS
        while before < (now := self._fresh.qsize()) < self._durable.batch - 1 and time.monotonic() < until:
            before = now
            await asyncio.sleep(NAP_SECONDS)

    async def _handle_batch(self, batch: Sequence[Arrived]) -> None:
        """Handle what belongs together at once, and what nobody takes by itself."""
        sorted_out: dict[str, list[Arrived]] = {}
        for arrived in batch:
            if (route := self._route_of(arrived)) is None:
                await self._handling.handle(arrived)
            else:
                sorted_out.setdefault(route.event_class.name, []).append(arrived)
        for name, its in sorted_out.items():
            await self._handle_together(self._batch_routes[name], its)

    async def _handle_together(self, route: BatchRoute, batch: Sequence[Arrived]) -> None:
        """Handle events of a class at once; whatever goes wrong, handle them one by one."""
        began = time.monotonic()
        events = self._handling.decode_all(route.event_class, batch)
        if events is None:
            batch, events = await self._without_unparsable(route.event_class, batch)
        try:
            if events:
                with telemetry.batch_span(f"handle {self._durable.name}", (each.headers for each in batch)):
                    await route.handle(events)
        except Exception as error:  # noqa: BLE001 - the outermost boundary of every handler
            log.warning("batch_failed", durable=self._durable.name, error=type(error).__name__)
            await self._handle_each(batch)
        else:
            await self._holding.done(*batch)
            for _ in batch:
                metrics.EVENT_SECONDS.labels(consumer=self._durable.name).observe(time.monotonic() - began)

    async def _handle_each(self, batch: Sequence[Arrived]) -> None:
        """Handle what is left of a batch that failed, each by itself."""
        for arrived in batch:
            if self._sorts:
                # There are handlers for that: the next batch need not wait.
                self._single.put_nowait(arrived)
            elif not await self._returned(arrived):
                await self._handling.handle(arrived)

    async def _without_unparsable(
        self, event_class: type[Event], batch: Sequence[Arrived]
    ) -> tuple[list[Arrived], list[Event]]:
        """Return what can be read, with its events; each of the others is handled by itself."""
        parsed: list[Arrived] = []
        events: list[Event] = []
        for arrived in batch:
            try:
                events.append(self._handling.decode(event_class, arrived))
                parsed.append(arrived)
            except Unparsable:
                await self._handling.handle(arrived)
        return parsed, events

    # --- outages ----------------------------------------------------------------------------------------

    def _pause(self, error: str, unfinished: str | None) -> None:
        """Stop pulling until the database is back; `unfinished` is an attempt to be taken back then."""
        if unfinished:
            self._unfinished.add(unfinished)
        if not self._away:
            self._away = True
            log.warning("consumption_paused", durable=self._durable.name, error=error)
            self._spawn(self._resume())

    async def _resume(self) -> None:
        while not (await self._consumer.attempts.reachable() and await self._take_back()):
            await asyncio.sleep(PROBE_SECONDS)
        self._away = False
        self._pulling.more_room.set()
        log.info("consumption_resumed", durable=self._durable.name)

    async def _take_back(self) -> bool:
        """Take back the starts that the outage cut short; False when it is not over."""
        for key in list(self._unfinished):
            try:
                await self._consumer.attempts.undo(self._durable.name, key)
            except Exception as error:  # noqa: BLE001 - the database went away again
                log.debug("still_away", durable=self._durable.name, error=type(error).__name__)
                return False
            self._unfinished.discard(key)
        return True
