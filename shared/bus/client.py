"""The NATS client, with a short way for what comes in thousands: messages of consumers, and their acks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import nats.aio.client
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.bus.envelope import Arrived


class Client(nats.aio.client.Client):
    """The client as it is, where nothing else is said.

    Its own way takes half of the time that a small event costs: headers are read that nobody asks for, and
    each message goes through a queue to a task that hands it over. Of the client's inner parts the short way
    needs how messages come in and how commands go out; the tests of the bus hold both.
    """

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[Subscription | None, Callable[[Arrived], None]] = {}

    @asynccontextmanager
    async def delivering(
        self, inbox: str, take: Callable[[Arrived], None], told: Callable[[Msg], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Subscribe while the context lasts: `take` gets what a consumer delivers, the moment it is read.

        `told` gets what the broker says besides, in its turn.
        """
        subscription = await self.subscribe(inbox, cb=told)
        self._takers[subscription] = take
        try:
            yield
        finally:
            del self._takers[subscription]
            # Also while there is no connection: the client would take it up again with the next one.
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    async def publish_to_each(self, subjects: Sequence[str], word: bytes) -> None:
        """Publish a word to each of these subjects, in one piece; raises what `publish` raises."""
        if not subjects:
            return
        first, *others = subjects
        await self.publish(first, word)
        self.stats["out_msgs"] += len(others)
        self.stats["out_bytes"] += len(others) * len(word)
        rest = b" %d\r\n%b\r\n" % (len(word), word)
        await self._send_command(b"".join(b"PUB %b%b" % (each.encode(), rest) for each in others))

    async def tell_each(self, subjects: Sequence[str], word: bytes, seconds: float) -> bool:
        """Publish a word to each of these subjects; say whether the broker confirms that it has them.

        Without a connection they wait for the next one, which may come too late. Raises TimeoutError when no
        answer comes within so many seconds, and what `publish` raises.
        """
        connection, is_connected = self.stats["reconnects"], self.is_connected
        await self.publish_to_each(subjects, word)
        if not is_connected:
            return False
        async with asyncio.timeout(seconds):
            for _ in range(2):  # the first PING may overtake what is not written yet
                await self.flush()
        return self.stats["reconnects"] == connection

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        take = self._takers.get(self._subs.get(sid)) if reply else None
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        try:
            take(Arrived(subject, reply, data, headers))
        except Exception as error:  # noqa: BLE001 - it would end the reading of everything else
            await self._error_cb(error)
