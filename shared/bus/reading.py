"""Reading streams for audits: everything up to a cut, without consuming anything."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus.envelope import EVENT, EVENT_ID, MSG_ID, REPLAY
from shared.topology import DURABLES, STREAMS, Durable

FETCH = 500
FETCH_SECONDS = 2.0
IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Stored:
    """A message as it lies in a stream."""

    sequence: int
    subject: str
    event: str
    event_key: str
    replay: int
    payload: bytes


@dataclass(frozen=True)
class Progress:
    """How far a durable is: everything up to `floor` is acked; `waiting` is not handled yet."""

    durable: Durable
    floor: int
    waiting: int

    def has_passed(self, cut: int) -> bool:
        """Say whether the durable has handled everything of its subjects up to a sequence."""
        return self.waiting == 0 or self.floor >= cut


class Streams:
    """Reads what lies in the streams."""

    def __init__(self, client: Client) -> None:
        self._api = client.jetstream(timeout=10)

    async def cut(self) -> dict[str, int]:
        """Return the last sequence of every stream."""
        return {stream.name: (await self._api.stream_info(stream.name)).state.last_seq for stream in STREAMS}

    async def progress(self) -> list[Progress]:
        """Return how far every durable is."""
        found = []
        for each in DURABLES:
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

    async def read(self, stream: str, *subjects: str, up_to: int) -> AsyncIterator[Stored]:
        """Yield what lies in a stream under these subjects, up to a sequence."""
        config = ConsumerConfig(
            filter_subjects=list(subjects),
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=IDLE_SECONDS,
            mem_storage=True,
        )
        info = await self._api.add_consumer(stream, config)
        left = info.num_pending or 0
        subscription = await self._api.pull_subscribe_bind(info.name, stream)
        try:
            while left > 0:
                try:
                    messages = await subscription.fetch(min(FETCH, left), timeout=FETCH_SECONDS)
                except (nats.errors.TimeoutError, TimeoutError):
                    continue
                for message in messages:
                    left -= 1
                    sequence = message.metadata.sequence.stream
                    if sequence > up_to:
                        return
                    yield _stored(stream, sequence, message.subject, message.headers or {}, message.data)
        finally:
            await subscription.unsubscribe()
            await self._api.delete_consumer(stream, info.name)


def _stored(stream: str, sequence: int, subject: str, headers: dict[str, Any], payload: bytes) -> Stored:
    replay = headers.get(REPLAY, "0")
    return Stored(
        sequence=sequence,
        subject=subject,
        event=headers.get(EVENT, ""),
        event_key=headers.get(EVENT_ID) or headers.get(MSG_ID) or f"{stream}:{sequence}",
        replay=int(replay) if replay.isdecimal() else 0,
        payload=payload,
    )
