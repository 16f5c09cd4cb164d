"""Publishing: an event counts when the broker's fsynced PubAck is here.

A busy publisher does not pay one fsync per event: what waits is grouped into one atomic batch, and each
waiter is answered when the commit is. A time-out means unknown, never failed: the event is published
again under the same id, and `duplicate` counts as success.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import nats.errors
import orjson
from nats.aio.client import Client

from shared.bus.errors import BusUnavailable, TooLarge
from shared.topology import STREAMS

BATCH_EVENTS = 500
BATCH_BYTES = 4 * 1024 * 1024
IN_FLIGHT = 2
"""Commits of a stream at a time: one is made ready while the broker syncs the last. More of them are smaller,
and each costs the broker the same."""
ONE_BY_ONE = 16
"""So many events are no batch: the broker stages one in files of its own, which costs it some sixteen syncs
and as much of the processor. Under a load of all kinds, with 12 it took a third less, with 24 a sixth."""
ACK_SECONDS = 5.0
BACKOFF_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)
HEADER_BYTES = 4 * 1024

STREAM_FULL = 10077
"""JetStream's error "maximum bytes exceeded"; it also answers "maximum messages exceeded"."""

_NEVER = (nats.errors.BadSubjectError, nats.errors.BadHeaderError)
_RETRIED = (nats.errors.Error, asyncio.TimeoutError, OSError)


@dataclass
class Waiting:
    """A message whose publisher waits for the broker."""

    subject: str
    payload: bytes
    headers: dict[str, str]
    done: "asyncio.Future[bool]"

    def settle(self, *, duplicate: bool) -> None:
        """Tell the publisher that the message is stored."""
        if not self.done.done():
            self.done.set_result(duplicate)

    def refuse(self, error: Exception) -> None:
        """Tell the publisher that the broker refused."""
        if not self.done.done():
            self.done.set_exception(error)

    def give_up(self, seconds: float) -> None:
        """Tell the publisher that the outcome is unknown."""
        self.refuse(BusUnavailable(f"not confirmed within {seconds:g} s"))


@dataclass
class Queue:
    """What waits for one stream, and how many commits of it are under way: streams wait for nobody else."""

    waiting: deque[Waiting] = field(default_factory=deque)
    in_flight: int = 0


class Publisher:
    """Publishes messages over one connection, in as few commits as the traffic allows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queues: defaultdict[str, Queue] = defaultdict(Queue)
        self._commits: set[asyncio.Task[None]] = set()
        self._woken = False

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str], *, seconds: float = 5.0
    ) -> bool:
        """Store a message; return whether the broker had it already.

        Raises `TooLarge` before anything is sent, `BusUnavailable` when the broker has not confirmed
        within `seconds`: then the outcome is unknown.
        """
        waiting = self._enqueue(subject, payload, headers)
        timer = asyncio.get_running_loop().call_later(seconds, waiting.give_up, seconds)
        try:
            return await waiting.done
        finally:
            timer.cancel()

    async def publish_all(
        self, messages: Sequence[tuple[str, bytes, dict[str, str]]], *, seconds: float = 5.0
    ) -> None:
        """Store messages together; raises as for one, and then of none of them the outcome is known."""
        waiting = [self._enqueue(*message) for message in messages]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(each.done for each in waiting))
        except TimeoutError:
            raise BusUnavailable(f"not confirmed within {seconds:g} s") from None

    def _enqueue(self, subject: str, payload: bytes, headers: dict[str, str]) -> Waiting:
        limit = self._client.max_payload - HEADER_BYTES
        if len(payload) > limit:
            raise TooLarge(f"an event of {len(payload)} bytes; at most {limit} fit")
        loop = asyncio.get_running_loop()
        waiting = Waiting(subject, payload, headers, loop.create_future())
        self._queues[_stream_of(subject)].waiting.append(waiting)
        if not self._woken:
            # In the loop's next turn: what is published in this one goes into the same batch.
            self._woken = True
            loop.call_soon(self._wake)
        return waiting

    async def close(self) -> None:
        """Wait for the commits that run, at most one time-out long."""
        if self._commits:
            await asyncio.wait(self._commits, timeout=ACK_SECONDS)
        for commit in self._commits:
            commit.cancel()

    def _wake(self) -> None:
        self._woken = False
        self._commit_more()

    def _commit_more(self) -> None:
        for queue in self._queues.values():
            while queue.waiting and queue.in_flight < IN_FLIGHT:
                queue.in_flight += 1
                commit = asyncio.create_task(self._commit(_take(queue.waiting)))
                self._commits.add(commit)
                commit.add_done_callback(partial(self._committed, queue))

    def _committed(self, queue: Queue, commit: asyncio.Task[None]) -> None:
        queue.in_flight -= 1
        self._commits.discard(commit)
        self._commit_more()

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        live = [waiting for waiting in batch if not waiting.done.done()]
        if len(live) > ONE_BY_ONE and await self._commit_batch(live):
            return
        await asyncio.gather(*(self._commit_one(waiting) for waiting in live))

    async def _commit_batch(self, batch: Sequence[Waiting]) -> bool:
        """Commit an atomic batch; False when it was refused or its outcome is unknown."""
        batch_id = uuid4().hex
        try:
            for number, waiting in enumerate(batch[:-1], 1):
                headers = {**waiting.headers, "Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(number)}
                await self._client.publish(waiting.subject, waiting.payload, headers=headers)
            last = batch[-1]
            commit = {"Nats-Batch-Sequence": str(len(batch)), "Nats-Batch-Commit": "1"}
            headers = {**last.headers, "Nats-Batch-Id": batch_id, **commit}
            reply = await self._client.request(last.subject, last.payload, ACK_SECONDS, headers=headers)
            answer = orjson.loads(reply.data)
        except (*_RETRIED, orjson.JSONDecodeError):
            return False
        if "error" in answer or answer.get("count") != len(batch):
            return False
        for waiting in batch:
            waiting.settle(duplicate=False)
        return True

    async def _commit_one(self, waiting: Waiting) -> None:
        tries = 0
        while not waiting.done.done():
            try:
                reply = await self._client.request(
                    waiting.subject, waiting.payload, ACK_SECONDS, headers=waiting.headers
                )
            except _NEVER as error:
                waiting.refuse(BusUnavailable(f"the client refused: {type(error).__name__}"))
                return
            except _RETRIED:
                await asyncio.sleep(BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)])
                tries += 1
                continue
            if _answered(waiting, orjson.loads(reply.data)):
                return
            await asyncio.sleep(BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)])
            tries += 1


def _answered(waiting: Waiting, answer: dict[str, object]) -> bool:
    """Settle or refuse by the broker's answer; False when it says "try again"."""
    error = answer.get("error")
    if not isinstance(error, dict):
        waiting.settle(duplicate=bool(answer.get("duplicate")))
        return True
    if error.get("err_code") == STREAM_FULL:
        waiting.refuse(BusUnavailable("the stream is full"))
        return True
    if error.get("code") == 503:
        return False
    waiting.refuse(BusUnavailable(f"the broker refused: {error.get('err_code')}"))
    return True


def _take(queue: deque[Waiting]) -> list[Waiting]:
    taken: list[Waiting] = []
    size = 0
    ids: set[str] = set()
    while queue and len(taken) < BATCH_EVENTS:
        size += len(queue[0].payload)
        # A batch with a repeated id is refused whole: the repeat goes with the next one.
        if taken and (size > BATCH_BYTES or queue[0].headers.get("Nats-Msg-Id") in ids):
            break
        ids.add(queue[0].headers.get("Nats-Msg-Id", ""))
        taken.append(queue.popleft())
    return taken


def _stream_of(subject: str) -> str:
    """Return the stream that keeps a subject: a batch is atomic within one, whatever subjects it has."""
    key = _key(subject)
    return _STREAMS.get(key, key)


def _key(subject: str) -> str:
    first, *rest = subject.split(".")
    return f"{first}.{rest[0]}" if first == "messages" else first


_STREAMS = {_key(subject): stream.name for stream in STREAMS for subject in stream.subjects}
