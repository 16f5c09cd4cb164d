"""Trimming streams: how far one may be trimmed by age, what dead letters still need of it, and doing it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client
from nats.js.api import ConsumerInfo

from shared.bus.dead_letters import BODY_LEFT, ORIGIN, STREAM
from shared.bus.errors import BusUnavailable
from shared.bus.reading import Streams

SECONDS = 60.0
ANY = ">"


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Make one error of all that the broker may answer instead of what it was asked."""
    try:
        yield
    except nats.errors.Error as error:
        raise BusUnavailable(f"the broker did not do it ({type(error).__name__})") from None


@dataclass(frozen=True)
class Reader:
    """A durable as the broker knows it, whoever uses it: everything up to `floor` is acked."""

    name: str
    floor: int
    waiting: int


class Trims:
    """Finds out what may go from the streams, and lets it go."""

    def __init__(self, client: Client, streams: Streams) -> None:
        self._client = client
        self._api = client.jetstream(timeout=10)
        self._streams = streams

    async def first(self, stream: str) -> int:
        """Return the sequence of the first message that a stream holds, or would hold."""
        return int((await self._api.stream_info(stream)).state.first_seq)

    async def readers(self, stream: str) -> list[Reader]:
        """Return every durable of a stream: a newer release may have some that are not known here."""
        found: list[ConsumerInfo] = []
        while page := await self._api.consumers_info(stream, offset=len(found)):
            found.extend(page)
        return [
            Reader(
                each.name,
                each.ack_floor.stream_seq if each.ack_floor else 0,
                (each.num_pending or 0) + (each.num_ack_pending or 0),
            )
            for each in found
            if each.config.durable_name
        ]

    async def older_than(self, stream: str, moment: datetime, *, last: int) -> int:
        """Return the last sequence, up to another, that was stored before a moment; 0 where there is none."""
        low, high = await self.first(stream), last + 1
        while low < high:
            middle = (low + high) // 2
            found = await self._at_or_after(stream, middle)
            if found is None or found[0] > last or found[1] >= moment:
                high = middle
            else:
                low = found[0] + 1
        return low - 1

    async def stored_at(self, stream: str, sequence: int) -> datetime | None:
        """Return when a message was stored, or the next one where it is gone: no earlier one came later."""
        found = await self._at_or_after(stream, sequence)
        return found[1] if found else None

    async def needed(self) -> dict[str, int]:
        """Return by stream the first message that a dead letter has not taken along, being too large."""
        needed: dict[str, int] = defaultdict(lambda: 1 << 62)
        cut = await self._streams.cut()
        async for letter in self._streams.read(STREAM, "dlq.>", up_to=cut[STREAM], headers_only=True):
            stream, _, sequence = letter.headers.get(ORIGIN, "").partition(":")
            if BODY_LEFT in letter.headers and sequence.isdecimal():
                needed[stream] = min(needed[stream], int(sequence))
        return dict(needed)

    async def purge(self, stream: str, up_to: int) -> int:
        """Let everything up to a sequence go, for good; return how many messages that were."""
        if up_to < 1:
            return 0
        try:
            answer = await self._client.request(
                f"$JS.API.STREAM.PURGE.{stream}", orjson.dumps({"seq": up_to + 1}), timeout=SECONDS
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise BusUnavailable(f"no answer to PURGE.{stream} ({type(error).__name__})") from None
        told: dict[str, Any] = orjson.loads(answer.data)
        if refused := told.get("error"):
            raise BusUnavailable(f"the broker refused: {refused.get('description')}")
        return int(told["purged"])

    async def _at_or_after(self, stream: str, sequence: int) -> tuple[int, datetime] | None:
        try:
            found = await self._api.get_msg(stream, seq=sequence, subject=ANY, next=True)
        except nats.js.errors.NotFoundError:
            return None
        at: datetime | str | None = found.time
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        if found.seq is None or at is None:
            return None
        return found.seq, at.astimezone(UTC)
