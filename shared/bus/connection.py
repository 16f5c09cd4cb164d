"""The connection to the broker, and everything that is done over it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Self

import nats.errors

from shared import tasks, telemetry
from shared.bus.asking import Answering, Answers, ReplyT, ask
from shared.bus.client import Client
from shared.bus.consuming import Consumption
from shared.bus.dead_letters import DeadLetters
from shared.bus.envelope import HEADROOM_BYTES, MSG_ID, encode
from shared.bus.errors import BusUnavailable, TooLarge
from shared.bus.handling import Consumer
from shared.bus.measuring import measure
from shared.bus.publishing import Publisher
from shared.bus.reading import Streams
from shared.bus.records import AttemptsRecord
from shared.bus.routes import BatchRoute, Route
from shared.bus.snapshots import Snapshots
from shared.bus.trimming import Trims
from shared.events import Event
from shared.queries import Query
from shared.topology import Durable, durable

DEFAULT_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
SILENT_SECONDS = 20.0
PENDING_BYTES = 2 * 1024 * 1024

log = telemetry.logger(__name__)


def _never(_error: BaseException) -> bool:
    return False


async def _at_once() -> None:
    pass


class Bus:
    """A service's connection to the broker: it publishes, consumes, asks and answers."""

    def __init__(
        self,
        client: Client,
        *,
        service: str,
        retry_seconds: Sequence[float],
        on_failure: Callable[[str], None],
    ) -> None:
        self._client = client
        self._service = service
        self._retry_seconds = retry_seconds
        self._on_failure = on_failure
        self._publisher = Publisher(client)
        self._consumptions: dict[str, Consumption] = {}
        self.dead_letters = DeadLetters(client, self._publisher)
        self.streams = Streams(client, self._publisher)
        self.snapshots = Snapshots(client)
        self.trims = Trims(client, self.streams)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        service: str,
        retry_seconds: Sequence[float] = DEFAULT_RETRY_SECONDS,
        on_failure: Callable[[str], None] = lambda reason: log.error("bus_failed", reason=reason),
        connect_attempts: int = -1,
    ) -> AsyncIterator[Self]:
        """Connect, and stay connected through any outage; waits while the broker is away.

        `connect_attempts` bounds the waiting, for commands: then BusUnavailable is raised.
        `on_failure` is called when the connection or a consumption ends for good: the process should end.
        """
        closing = False

        async def closed() -> None:
            if not closing:
                on_failure("the connection to the broker was closed")

        async def disconnected() -> None:
            if not closing:
                log.warning("broker_disconnected")

        client = Client()
        try:
            await client.connect(
                url,
                name=service,
                max_reconnect_attempts=connect_attempts,
                reconnect_time_wait=0.5,  # type: ignore[arg-type]  # seconds; a float works
                connect_timeout=2,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=PENDING_BYTES,
                error_cb=_log_error,
                disconnected_cb=disconnected,
                reconnected_cb=_log_reconnect,
                closed_cb=closed,
            )
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailable(f"no connection to the broker ({type(error).__name__})") from None
        bus = cls(client, service=service, retry_seconds=retry_seconds, on_failure=on_failure)
        try:
            yield bus
        finally:
            closing = True
            await bus._close()

    @property
    def max_payload(self) -> int:
        """The largest message the broker takes, in bytes."""
        return self._client.max_payload

    async def connected(self) -> bool:
        """Say whether the broker is there and every consumption hears from its durable."""
        return self._client.is_connected and not any(
            consumption.silent_seconds > SILENT_SECONDS for consumption in self._consumptions.values()
        )

    async def publish(self, event: Event, *, seconds: float = 5.0, again: str | None = None) -> None:
        """Store an event; return when the broker's fsynced PubAck is here.

        Publishing twice is publishing once. Raises TooLarge, or BusUnavailable when the broker has not
        confirmed within `seconds`: then nobody knows, and the event is to be published again.
        `again` says for which occasion an event is stored once more that the broker has known before.
        """
        with telemetry.span(f"publish {event.name}"):
            payload, headers = self._encoded(event)
            if again is not None:
                headers[MSG_ID] = f"{event.id}~{again}"
            await self._publisher.publish(event.subject(), payload, headers, seconds=seconds)

    async def publish_all(self, events: Sequence[Event], *, seconds: float = 5.0) -> None:
        """Store events together, as `publish` does each; when it raises, all are to be published again."""
        with telemetry.span("publish all", events=len(events)):
            messages = [(event.subject(), *self._encoded(event)) for event in events]
            await self._publisher.publish_all(messages, seconds=seconds)

    def _encoded(self, event: Event) -> tuple[bytes, dict[str, str]]:
        payload, headers = encode(event)
        if len(payload) > self.max_payload - HEADROOM_BYTES:
            raise TooLarge(
                f"{event.name} of {len(payload)} bytes; at most {self.max_payload - HEADROOM_BYTES} fit"
            )
        return payload, headers

    async def ask(self, query: Query[ReplyT], *, timeout: float = 5.0) -> ReplyT:
        """Ask another service; raises Refusal, or NoAnswer when none came in time."""
        return await ask(self._client, query, timeout=timeout)

    @asynccontextmanager
    async def answer(
        self,
        *answers: Answering,
        is_unavailable: Callable[[BaseException], bool] = _never,
        is_conflict: Callable[[BaseException], bool] = _never,
    ) -> AsyncIterator[None]:
        """Answer these questions, as one of the service's replicas, until left."""
        running = Answers(self._client, answers, is_unavailable, is_conflict)
        await running.start()
        try:
            yield
        finally:
            await running.stop()

    def consume(
        self,
        name: str,
        *routes: Route,
        attempts: AttemptsRecord,
        is_unavailable: Callable[[BaseException], bool] = _never,
        concurrency: int | None = None,
    ) -> AbstractAsyncContextManager[None]:
        """Consume a durable, an event at a time, until left; `concurrency` is instead of the topology's."""
        each = durable(name)
        each = replace(each, concurrency=concurrency or each.concurrency)
        return self._consume(each, routes, (), attempts, is_unavailable)

    def consume_batches(
        self,
        name: str,
        *routes: BatchRoute,
        attempts: AttemptsRecord,
        is_unavailable: Callable[[BaseException], bool] = _never,
        turn: Callable[[], Awaitable[None]] = _at_once,
    ) -> AbstractAsyncContextManager[None]:
        """Consume a durable, many events at a time, until left; what is `alone`, each by itself.

        `turn` is awaited before something is begun: a service lets it wait there for what is more urgent.
        """
        return self._consume(
            durable(name), [route.single for route in routes], routes, attempts, is_unavailable, turn
        )

    @asynccontextmanager
    async def _consume(
        self,
        each: Durable,
        routes: Sequence[Route],
        batch_routes: Sequence[BatchRoute],
        attempts: AttemptsRecord,
        is_unavailable: Callable[[BaseException], bool],
        turn: Callable[[], Awaitable[None]] = _at_once,
    ) -> AsyncIterator[None]:
        consumer = Consumer(
            client=self._client,
            durable=each,
            ack_wait_seconds=await self._ack_wait(each),
            routes=routes,
            batch_routes=batch_routes,
            attempts=attempts,
            dead_letters=self.dead_letters,
            retry_seconds=self._retry_seconds,
            is_unavailable=is_unavailable,
            turn=turn,
        )
        consumption = Consumption(consumer, self._crashed)
        consumption.start()
        self._consumptions[each.name] = consumption
        measuring = asyncio.create_task(measure(self._client, each))
        try:
            yield
        finally:
            del self._consumptions[each.name]
            # Stopping comes first: whatever else ends slowly, nothing more is begun meanwhile.
            try:
                await consumption.stop()
            finally:
                await tasks.cancel(measuring)

    async def _ack_wait(self, each: Durable) -> float:
        """Return the ack wait that the broker holds; raises RuntimeError when the durable is set weaker."""
        try:
            info = await self._client.jetstream().consumer_info(each.stream, each.name)
        except (TimeoutError, OSError) as error:
            raise BusUnavailable(f"the broker tells nothing of {each.name}") from error
        config = info.config
        if config.max_deliver not in (None, -1) or config.backoff or not config.ack_wait:
            raise RuntimeError(f"durable {each.name} is not as the topology declares it: run deploy.prepare")
        return float(config.ack_wait)

    def _crashed(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("consumption_crashed", error=type(error).__name__, where=telemetry.where(error))
        self._on_failure("a consumption ended unexpectedly")

    async def _close(self) -> None:
        await self._publisher.close()
        try:
            async with asyncio.timeout(3):
                await self._client.flush(timeout=2)
        except (nats.errors.Error, TimeoutError, OSError):
            log.debug("closed_while_disconnected")
        await self._client.close()


async def _log_error(error: Exception) -> None:
    log.warning("broker_error", error=type(error).__name__)


async def _log_reconnect() -> None:
    log.info("broker_reconnected")
