"""Durable consumption: pull, decode one by one, handle side by side, retry, bury, stop gracefully.

- An event that cannot be parsed goes to the dead letters at first sight.
- `RetryLater` is a delayed NAK and is not counted. Any other error is counted in the service's own record
  and retried after `retry_seconds`, then the event is a dead letter.
- When the service's database is away, pulling stops, what is held is handed back, no try is counted.
- A message that comes again without a recorded failure may have killed its process: such messages are
  handled one at a time, each attempt written down before it starts; after three that never ended it is a
  dead letter.
- Leaving finishes what runs and hands back what was not started.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from shared import metrics, telemetry
from shared.bus.dead_letters import DeadLetter, DeadLetters
from shared.bus.envelope import BY_NAME, EVENT, Arrived
from shared.bus.errors import BusUnavailable, RetryLater, TooLarge
from shared.bus.pulling import Pulling
from shared.bus.records import AttemptsRecord
from shared.bus.routes import BatchRoute, Receipt, Route
from shared.events import Event
from shared.topology import Durable

CRASHES_ALLOWED = 3
OUTAGE_NAK_SECONDS = 2.0
PROBE_SECONDS = 1.0
STOP_SECONDS = 30.0

log = telemetry.logger(__name__)


class _Unparsable(Exception):
    """The message is not an event that this durable handles."""


@dataclass(frozen=True)
class Consumer:
    """Everything that handling a durable needs."""

    client: Client
    durable: Durable
    ack_wait_seconds: float
    routes: Sequence[Route]
    batch_route: BatchRoute | None
    attempts: AttemptsRecord
    dead_letters: DeadLetters
    retry_seconds: Sequence[float]
    is_unavailable: Callable[[BaseException], bool]


class Consumption:
    """The running consumption of one durable."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._durable = consumer.durable
        self._waiting: asyncio.Queue[Arrived] = asyncio.Queue()
        self._held: dict[str, Arrived] = {}
        self._renewed_at: dict[str, float] = {}
        self._stopping = False
        self._away = False
        self._one_at_a_time = asyncio.Lock()
        self._unfinished: set[str] = set()
        self._pulling = Pulling(consumer.client, consumer.durable, room=self._room, take=self._take)
        self._handlers = {
            route.event_class.name: route for route in consumer.routes if route.event_class is not None
        }
        self._dead_letter_route = next((r for r in consumer.routes if r.event_class is None), None)
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []

    # --- life -------------------------------------------------------------------------------------------

    def start(self, on_crash: Callable[[asyncio.Task[None]], None]) -> None:
        """Start pulling and handling."""
        work = self._work_batches if self._consumer.batch_route else self._work
        self._tasks = [asyncio.create_task(self._pulling.run()), asyncio.create_task(self._renew())]
        self._workers = [asyncio.create_task(work()) for _ in range(self._durable.concurrency)]
        for task in (*self._tasks, *self._workers):
            task.add_done_callback(on_crash)

    async def stop(self) -> None:
        """Stop pulling, hand back what was not started, finish what runs (at most 30 s)."""
        self._stopping = True
        self._tasks[0].cancel()
        while not self._waiting.empty():
            await self._give_back(self._waiting.get_nowait(), 0.0)
        idle = [worker for worker in self._workers if not worker.done()]
        deadline = time.monotonic() + STOP_SECONDS
        while self._held and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for task in (*self._tasks, *idle):
            task.cancel()
        await asyncio.gather(*self._tasks, *idle, return_exceptions=True)

    @property
    def silent_seconds(self) -> float:
        """How long the broker has given no sign of life on this durable."""
        return time.monotonic() - self._pulling.contact_at

    # --- intake -----------------------------------------------------------------------------------------

    def _room(self) -> int:
        if self._stopping or self._away:
            return 0
        capacity = 2 * self._durable.concurrency * self._durable.batch
        return max(0, capacity - len(self._held))

    def _take(self, message: Msg) -> None:
        arrived = Arrived.read(message)
        self._held[message.reply] = arrived
        self._renewed_at[message.reply] = time.monotonic()
        self._waiting.put_nowait(arrived)

    def _release(self, arrived: Arrived) -> None:
        self._held.pop(arrived.message.reply, None)
        self._renewed_at.pop(arrived.message.reply, None)
        self._pulling.more_room.set()

    async def _renew(self) -> None:
        """Tell the broker about everything that is held, three times per ack wait."""
        while True:
            await asyncio.sleep(self._consumer.ack_wait_seconds / 3)
            for reply in list(self._held):
                await self._tell(reply, b"+WPI")
                self._renewed_at[reply] = time.monotonic()

    def _is_stale(self, arrived: Arrived) -> bool:
        """Say whether somebody else may have the message by now (this process stood still)."""
        renewed = self._renewed_at.get(arrived.message.reply, 0.0)
        return time.monotonic() - renewed > self._consumer.ack_wait_seconds

    async def _tell(self, reply: str, word: bytes) -> None:
        try:
            await self._consumer.client.publish(reply, word)
        except (nats.errors.Error, OSError):
            # A lost ack is a redelivery, which every handler takes.
            log.debug("ack_not_sent", durable=self._durable.name)

    async def _give_back(self, arrived: Arrived, seconds: float) -> None:
        await self._tell(arrived.message.reply, b'-NAK {"delay":%d}' % int(seconds * 1e9))
        self._release(arrived)

    async def _done(self, arrived: Arrived) -> None:
        await self._tell(arrived.message.reply, b"+ACK")
        self._release(arrived)

    # --- one by one -------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._handle(await self._waiting.get())

    async def _work_batches(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty() and len(batch) < self._durable.batch:
                batch.append(self._waiting.get_nowait())
            again = [arrived for arrived in batch if arrived.deliveries > 1]
            await self._handle_batch([arrived for arrived in batch if arrived.deliveries == 1])
            for arrived in again:
                await self._handle(arrived)

    async def _handle(self, arrived: Arrived) -> None:
        if self._stopping or self._away or self._is_stale(arrived):
            await self._give_back(arrived, OUTAGE_NAK_SECONDS if self._away else 0.0)
            return
        with telemetry.continued(arrived.headers), telemetry.span(f"handle {self._durable.name}"):
            try:
                await self._handle_parsed(arrived, *self._parse(arrived))
            except _Unparsable as error:
                await self._bury(arrived, "unparsable", str(error), 1)

    async def _handle_parsed(self, arrived: Arrived, route: Route, event: Event | DeadLetter) -> None:
        begun = arrived.deliveries > 1
        tries = 0
        try:
            if begun:
                record = await self._begin(arrived)
                if record is None:
                    return
                tries = record
            receipt = Receipt(arrived.replay, tries + 1, arrived.sequence, arrived.published_at)
            await route.handle(event, receipt)
            if begun:
                await self._consumer.attempts.forget(self._durable.name, arrived.attempt_key)
        except RetryLater as later:
            await self._undo(arrived, begun=begun)
            await self._give_back(arrived, max(later.seconds, 0.05))
        except Exception as error:  # noqa: BLE001 - the outermost boundary of every handler
            await self._failed(arrived, error, begun=begun)
        else:
            await self._done(arrived)

    async def _begin(self, arrived: Arrived) -> int | None:
        """Write the attempt down; return earlier failures, or None when the event was buried instead."""
        record = await self._consumer.attempts.begin(self._durable.name, arrived.attempt_key)
        if record.crashes < CRASHES_ALLOWED:
            return record.failures
        await self._bury(arrived, "crashed", "its process died while handling it", record.starts)
        return None

    async def _failed(self, arrived: Arrived, error: BaseException, *, begun: bool) -> None:
        name = type(error).__name__
        if self._consumer.is_unavailable(error) or isinstance(error, BusUnavailable):
            await self._pause(arrived, name, begun=begun)
            return
        try:
            failures = await self._consumer.attempts.fail(self._durable.name, arrived.attempt_key, name)
        except Exception as second:  # noqa: BLE001 - the record is in the database that may be away
            await self._pause(arrived, type(second).__name__, begun=begun)
            return
        if failures > len(self._consumer.retry_seconds):
            await self._bury(arrived, "failed", name, failures)
            return
        seconds = self._consumer.retry_seconds[failures - 1]
        log.warning(
            "event_failed", durable=self._durable.name, event_id=arrived.event_key, error=name,
            failures=failures, again_in=seconds, where=telemetry.where(error),
        )  # fmt: skip
        await self._give_back(arrived, seconds)

    async def _bury(self, arrived: Arrived, reason: str, error: str, attempts: int) -> None:
        try:
            await self._consumer.dead_letters.bury(self._durable.name, arrived, reason, error, attempts)
        except (BusUnavailable, TooLarge) as problem:
            log.error("dead_letter_not_stored", durable=self._durable.name, error=type(problem).__name__)
            await self._give_back(arrived, OUTAGE_NAK_SECONDS)
            return
        metrics.DEAD_LETTERS.labels(consumer=self._durable.name, reason=reason).inc()
        log.error(
            "event_buried", durable=self._durable.name, event_id=arrived.event_key, reason=reason, error=error
        )
        await self._done(arrived)

    def _parse(self, arrived: Arrived) -> tuple[Route, Event | DeadLetter]:
        if self._dead_letter_route:
            return self._dead_letter_route, DeadLetter.read(arrived.sequence, arrived.message)
        name = arrived.headers.get(EVENT, "")
        route = self._handlers.get(name)
        if route is None and len(self._handlers) == 1 and not name:
            # Published by somebody who knows the subject but not our headers.
            name, route = next(iter(self._handlers.items()))
        if route is None:
            if name in BY_NAME:
                return Route(BY_NAME[name], _ignore), self._decode(BY_NAME[name], arrived)
            raise _Unparsable("unknown event")
        return route, self._decode(BY_NAME.get(name, route.event_class or Event), arrived)

    def _decode(self, event_class: type[Event], arrived: Arrived) -> Event:
        try:
            return event_class.model_validate_json(arrived.message.data)
        except ValidationError as error:
            fields = {
                ".".join(str(part) for part in each["loc"]) for each in error.errors(include_input=False)
            }
            raise _Unparsable(f"{error.error_count()} errors in {sorted(fields)}"[:500]) from None

    # --- batches ----------------------------------------------------------------------------------------

    async def _handle_batch(self, batch: Sequence[Arrived]) -> None:
        """Handle many at once; whatever goes wrong, handle them again one by one."""
        route = self._consumer.batch_route
        assert route is not None  # noqa: S101 - only consumers of batches come here
        events: list[Event] = []
        parsed: list[Arrived] = []
        for arrived in batch:
            try:
                events.append(self._decode(route.event_class, arrived))
                parsed.append(arrived)
            except _Unparsable:
                await self._handle(arrived)
        if not parsed:
            return
        if self._stopping or self._away or any(self._is_stale(arrived) for arrived in parsed):
            for arrived in parsed:
                await self._handle(arrived)
            return
        try:
            with telemetry.batch_span(f"handle {self._durable.name}", [a.headers for a in parsed]):
                await route.handle(events)
        except Exception as error:  # noqa: BLE001 - the outermost boundary of every handler
            log.warning(
                "batch_failed", durable=self._durable.name, error=type(error).__name__, size=len(parsed)
            )
            for arrived in parsed:
                await self._handle(arrived)
        else:
            for arrived in parsed:
                await self._done(arrived)

    # --- outages ----------------------------------------------------------------------------------------

    async def _pause(self, arrived: Arrived, error: str, *, begun: bool) -> None:
        if begun:
            self._unfinished.add(arrived.attempt_key)
        await self._give_back(arrived, OUTAGE_NAK_SECONDS + random.random())  # noqa: S311 - jitter
        if self._away:
            return
        self._away = True
        log.warning("consumption_paused", durable=self._durable.name, error=error)
        self._tasks.append(asyncio.create_task(self._resume()))

    async def _resume(self) -> None:
        while not await self._consumer.attempts.reachable():
            await asyncio.sleep(PROBE_SECONDS)
        while self._unfinished:
            key = next(iter(self._unfinished))
            await self._undo_key(key)
            self._unfinished.discard(key)
        self._away = False
        self._pulling.more_room.set()
        log.info("consumption_resumed", durable=self._durable.name)

    async def _undo(self, arrived: Arrived, *, begun: bool) -> None:
        if begun:
            await self._undo_key(arrived.attempt_key)

    async def _undo_key(self, key: str) -> None:
        await self._consumer.attempts.undo(self._durable.name, key)


async def _ignore(_event: Event, _receipt: Receipt) -> None:
    """Pass over an event of the subject that this service has no interest in."""
