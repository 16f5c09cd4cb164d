"""Reading streams for audits: everything up to a cut, without consuming anything."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus.ahead import Ahead
from shared.bus.client import Client
from shared.bus.envelope import MSG_ID, Arrived
from shared.bus.errors import BusUnavailable
from shared.bus.publishing import Publisher
from shared.bus.reaching import reaching
from shared.telemetry import TRACEPARENT
from shared.topology import DURABLES, STREAMS, Durable

WAIT_SECONDS = 2.0
IDLE_SECONDS = 60.0
READ_TRIES = 5
"""So often a stretch is read again that brings nothing although there is something."""
NO_MESSAGE = (10037, 10043, 10057)
"""JetStream's errors for a sequence that holds nothing any more."""
TRACEPARENT_PARTS = 4


class Stored:
    """A message as it lies in a stream; what is seldom asked of it is read when it is asked."""

    __slots__ = ("_arrived", "sequence")

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self.sequence = arrived.sequence

    @property
    def subject(self) -> str:
        """The subject that it was published to."""
        return self._arrived.subject

    @property
    def event(self) -> str:
        """The event's name on the wire; empty where its headers do not tell."""
        return self._arrived.event

    @property
    def event_key(self) -> str:
        """The event's id where the headers tell it, else where the message lies."""
        return self._arrived.event_key

    @property
    def replay(self) -> int:
        """How often the event has been replayed."""
        return self._arrived.replay

    @property
    def payload(self) -> bytes:
        """Its body."""
        return self._arrived.data

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        return self._arrived.headers

    @property
    def at(self) -> datetime:
        """When the broker stored it."""
        return self._arrived.published_at

    @property
    def trace_id(self) -> str | None:
        """The trace that it is part of."""
        parts = self.headers.get(TRACEPARENT, "").split("-")
        return parts[1] if len(parts) == TRACEPARENT_PARTS else None


@dataclass(frozen=True)
class Progress:
    """How far a durable is: everything up to `floor` is acked; `waiting` is not handled yet."""

    durable: Durable
    floor: int
    waiting: int

    def has_passed(self, cut: int) -> bool:
        """Say whether the durable has handled everything of its subjects up to a sequence."""
        return self.waiting == 0 or self.floor >= cut


@dataclass
class _Stretch:
    """How far a stretch of reading came, and whether that is all there is."""

    reached: int
    whole: bool = False


class Streams:
    """Reads what lies in the streams."""

    def __init__(self, client: Client, publisher: Publisher) -> None:
        self._client = client
        self._api = client.jetstream(timeout=10)
        self._publisher = publisher

    async def store_again(self, stored: Stored, payload: bytes, occasion: str) -> None:
        """Store a message once more, with another payload and the same headers but the broker's own."""
        headers = {name: value for name, value in stored.headers.items() if not name.startswith("Nats-")}
        headers[MSG_ID] = f"{stored.event_key}~{occasion}"
        await self._publisher.publish(stored.subject, payload, headers, seconds=30)

    async def erase(self, stream: str, sequence: int) -> None:
        """Delete a message for good: its bytes are overwritten on disk."""
        try:
            await self._api.delete_msg(stream, sequence)
        except nats.js.errors.APIError as error:
            if error.err_code not in NO_MESSAGE:
                raise

    async def cut(self) -> dict[str, int]:
        """Return the last sequence of every stream."""
        with reaching():
            return {
                stream.name: (await self._api.stream_info(stream.name)).state.last_seq for stream in STREAMS
            }

    async def first_since(self, stream: str, at: datetime) -> int:
        """Return the sequence of the first message that was stored since a time, or of the next to come.

        Where nothing lies in the stream any more it is 1: good to read from, not to say what has gone.
        """
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=at,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=IDLE_SECONDS,
            mem_storage=True,
        )
        info = await self._api.add_consumer(stream, config)
        await self._api.delete_consumer(stream, info.name)
        return info.delivered.stream_seq + 1 if info.delivered else 1

    async def count(self, stream: str) -> int:
        """Return how many messages lie in a stream."""
        with reaching():
            return int((await self._api.stream_info(stream)).state.messages)

    async def progress(self) -> list[Progress]:
        """Return how far every durable is."""
        found = []
        for each in DURABLES:
            with reaching():
                info = await self._api.consumer_info(each.stream, each.name)
            floor = info.ack_floor.stream_seq if info.ack_floor else 0
            found.append(Progress(each, floor, (info.num_pending or 0) + (info.num_ack_pending or 0)))
        return found

    async def wait_for_durables(self, cut: dict[str, int], *, seconds: float) -> list[str]:
        """Wait until every durable has passed the cut; return the names of those that have not in time."""
        late: list[str] = []
        for _ in range(max(1, int(seconds / 0.25))):
            passed = {
                each.durable.name: each.has_passed(cut[each.durable.stream]) for each in await self.progress()
            }
            late = [name for name, done in passed.items() if not done]
            if not late:
                return []
            await asyncio.sleep(0.25)
        return late

    async def payload(self, stream: str, sequence: int) -> bytes | None:
        """Return the body of a message, or None where it is not there any more."""
        try:
            return (await self._api.get_msg(stream, sequence)).data or b""
        except nats.js.errors.NotFoundError:
            return None

    async def read(
        self, stream: str, *subjects: str, up_to: int, since: int = 1, headers_only: bool = False
    ) -> AsyncIterator[Stored]:
        """Yield what lies in a stream under these subjects, from a sequence up to another, each once.

        With `headers_only` payloads stay where they are, which is quicker. Replies that were lost (nothing is
        acked here) are noticed, and read again: it ends only where the broker has nothing more. Raises
        BusUnavailable when it has more and does not hand it over.
        """
        tries = 0
        while since <= up_to:
            stretch = _Stretch(since)
            with reaching():
                async for stored in self._stretch(
                    stream, subjects, stretch, up_to, headers_only=headers_only
                ):
                    stretch.reached = stored.sequence + 1
                    yield stored
            if stretch.whole:
                return
            tries = tries + 1 if stretch.reached == since else 0
            if tries == READ_TRIES:
                raise BusUnavailable(f"{stream} does not hand over what it holds from {since} on")
            since = stretch.reached

    async def _stretch(
        self,
        stream: str,
        subjects: Sequence[str],
        stretch: "_Stretch",
        up_to: int,
        *,
        headers_only: bool,
    ) -> AsyncIterator[Stored]:
        """Yield as much as comes without a gap, and note whether that was all there is."""
        config = ConsumerConfig(
            filter_subjects=list(subjects),
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=stretch.reached,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=IDLE_SECONDS,
            mem_storage=True,
            headers_only=headers_only or None,
        )
        info = await self._api.add_consumer(stream, config)
        left, number = min(info.num_pending or 0, up_to - stretch.reached + 1), 0
        try:
            while left > 0:
                async with Ahead(self._client, stream, info.name, left) as ahead:
                    while left > 0 and (arrived := await ahead.next(seconds=WAIT_SECONDS)):
                        number, left = number + 1, left - 1
                        if arrived.number != number:
                            return
                        if arrived.sequence > up_to:
                            stretch.whole = True
                            return
                        yield Stored(arrived)
                if left > 0:
                    # What was trimmed or erased meanwhile does not come any more; what was handed over and
                    # did not arrive does not come again from here.
                    now = await self._api.consumer_info(stream, info.name)
                    if now.delivered and now.delivered.consumer_seq > number:
                        return
                    left = now.num_pending or 0
            stretch.whole = True
        except nats.js.errors.NotFoundError:
            # Brokers forget such a consumer when they start again.
            return
        finally:
            with suppress(nats.js.errors.NotFoundError):
                await self._api.delete_consumer(stream, info.name)
