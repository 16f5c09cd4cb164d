"""Handling one event: decode, count attempts, retry, bury.

- An event that cannot be parsed goes to the dead letters at first sight.
- `RetryLater` is a delayed NAK and is not counted. Any other error is counted in the service's own record
  and retried after `retry_seconds`, then the event is a dead letter.
- When the service's database is away nothing is counted: `pause` is called, and the message handed back.
- A message that comes again writes each attempt down before it starts; after three attempts that never
  ended, because their process died, it is a dead letter.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from shared import metrics, telemetry
from shared.bus.client import Client
from shared.bus.dead_letters import DeadLetter, DeadLetters
from shared.bus.envelope import BY_NAME, Arrived, reader
from shared.bus.errors import BusUnavailable, RetryLater, TooLarge
from shared.bus.holding import Holding
from shared.bus.records import AttemptsRecord, Begun
from shared.bus.routes import BatchRoute, Receipt, Route
from shared.events import Event
from shared.topology import Durable

CRASHES_ALLOWED = 3
OUTAGE_NAK_SECONDS = 2.0
SLOWEST_TIMES = 10
"""A handler that takes so many times as long as the slowest should counts as failed."""

log = telemetry.logger(__name__)


class Unparsable(Exception):
    """The message is not an event that this durable handles."""


class TookTooLong(Exception):
    """A handler did not come to an end."""


@dataclass(frozen=True)
class Consumer:
    """Everything that handling a durable needs."""

    client: Client
    durable: Durable
    ack_wait_seconds: float
    routes: Sequence[Route]
    batch_routes: Sequence[BatchRoute]
    attempts: AttemptsRecord
    dead_letters: DeadLetters
    retry_seconds: Sequence[float]
    is_unavailable: Callable[[BaseException], bool]
    turn: Callable[[], Awaitable[None]]
    """Awaited before something is begun: whoever has more urgent things to do lets it wait, not for long."""


class Handling:
    """Handles events of one durable, one at a time; `pause` is called with what an outage left unfinished."""

    def __init__(
        self, consumer: Consumer, holding: Holding, pause: Callable[[str, str | None], None]
    ) -> None:
        self._consumer = consumer
        self._name = consumer.durable.name
        self._holding = holding
        self._pause = pause
        self._routes = {route.event_class.name: route for route in consumer.routes if route.event_class}
        self._dead_letter_route = next((each for each in consumer.routes if each.event_class is None), None)

    async def begin(self, arrived: Arrived) -> Begun | None:
        """Write down that an attempt starts; None when that failed, or the event was buried instead."""
        try:
            record = await self._consumer.attempts.begin(self._name, arrived.attempt_key)
        except Exception as error:  # noqa: BLE001 - the record is in the database that may be away
            await self._outage(arrived, type(error).__name__, begun=False)
            return None
        if record.crashes < CRASHES_ALLOWED:
            return record
        await self.bury(arrived, "crashed", "its process died while handling it", record.starts)
        return None

    async def handle(self, arrived: Arrived, begun: Begun | None = None) -> None:
        """Handle an event, whatever comes of it."""
        began = time.monotonic()
        with telemetry.continued(arrived.headers), telemetry.span(f"handle {self._name}"):
            try:
                await self._run(arrived, begun, *self._parse(arrived))
            except Unparsable as problem:
                await self.bury(arrived, "unparsable", str(problem), 1)
        metrics.EVENT_SECONDS.labels(consumer=self._name).observe(time.monotonic() - began)

    def name_of(self, arrived: Arrived) -> str:
        """Return the name of an event; one without our headers is of the only class that is awaited."""
        if not arrived.event and len(self._routes) == 1:
            # Published by somebody who knows the subject but not our headers.
            return next(iter(self._routes))
        return arrived.event

    def decode(self, event_class: type[Event], arrived: Arrived) -> Event:
        """Read an event; raises Unparsable, naming fields and never their values."""
        if arrived.decoded is not None:
            return arrived.decoded
        try:
            arrived.decoded = event = reader(event_class)(arrived.data)
        except ValidationError as error:
            fields = {
                ".".join(str(part) for part in each["loc"]) for each in error.errors(include_input=False)
            }
            raise Unparsable(f"{error.error_count()} errors in {sorted(fields)}"[:500]) from None
        return event

    def decode_all(self, event_class: type[Event], batch: Sequence[Arrived]) -> list[Event] | None:
        """Read events, each by itself; None when there is one among them that cannot be read."""
        read = reader(event_class)
        try:
            return [arrived.decoded or read(arrived.data) for arrived in batch]
        except ValidationError:
            return None

    async def bury(self, arrived: Arrived, reason: str, error: str, attempts: int) -> None:
        """Make a dead letter of an event; when that cannot be stored, hand the event back."""
        try:
            await self._consumer.dead_letters.bury(self._name, arrived, reason, error, attempts)
        except (BusUnavailable, TooLarge) as problem:
            log.error("dead_letter_not_stored", durable=self._name, error=type(problem).__name__)
            await self._holding.give_back(arrived, OUTAGE_NAK_SECONDS)
            return
        metrics.DEAD_LETTERS.labels(consumer=self._name, reason=reason).inc()
        log.error("event_buried", durable=self._name, event_id=arrived.event_key, reason=reason, error=error)
        await self._holding.done(arrived)

    async def _run(
        self, arrived: Arrived, begun: Begun | None, route: Route, event: Event | DeadLetter
    ) -> None:
        tries = begun.failures if begun else 0
        receipt = Receipt(arrived.replay, tries + 1, arrived.sequence, arrived.published_at)
        try:
            await self._within_time(route, event, receipt)
            if begun:
                await self._consumer.attempts.forget(self._name, arrived.attempt_key)
        except RetryLater as later:
            await self._undo(arrived, begun)
            await self._holding.give_back(arrived, max(later.seconds, 0.05))
        except Exception as error:  # noqa: BLE001 - the outermost boundary of every handler
            await self._failed(arrived, error, begun)
        else:
            await self._holding.done(arrived)

    async def _within_time(self, route: Route, event: Event | DeadLetter, receipt: Receipt) -> None:
        limit = asyncio.timeout(SLOWEST_TIMES * self._consumer.durable.slowest_seconds)
        try:
            async with limit:
                await route.handle(event, receipt)
        except TimeoutError:
            if limit.expired():
                raise TookTooLong from None
            raise

    async def _failed(self, arrived: Arrived, error: Exception, begun: Begun | None) -> None:
        name = type(error).__name__
        if self._consumer.is_unavailable(error) or isinstance(error, BusUnavailable):
            await self._outage(arrived, name, begun=begun is not None)
            return
        try:
            failures = await self._consumer.attempts.fail(self._name, arrived.attempt_key, name)
        except Exception as second:  # noqa: BLE001 - the record is in the database that may be away
            await self._outage(arrived, type(second).__name__, begun=begun is not None)
            return
        if failures > len(self._consumer.retry_seconds):
            await self.bury(arrived, "failed", name, failures)
            return
        seconds = self._consumer.retry_seconds[failures - 1]
        log.warning(
            "event_failed",
            durable=self._name,
            event_id=arrived.event_key,
            error=name,
            failures=failures,
            again_in=seconds,
            where=telemetry.where(error),
        )
        await self._holding.give_back(arrived, seconds)

    async def _outage(self, arrived: Arrived, error: str, *, begun: bool) -> None:
        self._pause(error, arrived.attempt_key if begun else None)
        await self._holding.give_back(arrived, OUTAGE_NAK_SECONDS)

    async def _undo(self, arrived: Arrived, begun: Begun | None) -> None:
        if begun is None:
            return
        try:
            await self._consumer.attempts.undo(self._name, arrived.attempt_key)
        except Exception as error:  # noqa: BLE001 - the record is in the database that may be away
            self._pause(type(error).__name__, arrived.attempt_key)

    def _parse(self, arrived: Arrived) -> tuple[Route, Event | DeadLetter]:
        if self._dead_letter_route:
            return self._dead_letter_route, DeadLetter.read(arrived.sequence, arrived)
        name = self.name_of(arrived)
        if name not in self._routes and name not in BY_NAME:
            raise Unparsable("unknown event")
        route = self._routes.get(name) or Route(BY_NAME[name], _pass_over)
        return route, self.decode(route.event_class or BY_NAME[name], arrived)


async def _pass_over(_event: Event, _receipt: Receipt) -> None:
    """Pass over an event of the subject that this service has no interest in."""
