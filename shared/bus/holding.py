"""What a consumption holds: messages that the broker has handed over and that are not settled yet."""

import time
from collections.abc import Callable, Sequence

import nats.errors

from shared import telemetry
from shared.bus.client import Client
from shared.bus.envelope import Arrived

log = telemetry.logger(__name__)


class Holding:
    """The messages held of one durable, and how many `bytes` they have; `changed` when one is let go."""

    def __init__(self, client: Client, ack_wait_seconds: float, changed: Callable[[], None]) -> None:
        self._client = client
        self._ack_wait_seconds = ack_wait_seconds
        self._changed = changed
        self._held: dict[str, float] = {}
        """Reply subjects, with the monotonic time at which the broker surely heard last that we are at it."""
        self._sizes: dict[str, int] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def take(self, arrived: Arrived) -> None:
        """Hold a message that has just come."""
        self._held[arrived.reply] = time.monotonic()
        self._sizes[arrived.reply] = size = len(arrived.data)
        self.bytes += size

    async def renew(self) -> None:
        """Tell the broker that everything held is still being worked on.

        It counts when the broker has confirmed it, from the moment before; but for what was stale by then:
        somebody else may have that, whatever the broker is told of it now.
        """
        now = time.monotonic()
        told = list(self._held)
        ours = [reply for reply in told if now - self._held[reply] <= self._ack_wait_seconds]
        if not told:
            return
        try:
            is_told = await self._client.tell_each(told, b"+WPI", self._ack_wait_seconds / 3)
        except (nats.errors.Error, OSError):
            is_told = False
        if is_told:
            self._held.update((reply, now) for reply in ours if reply in self._held)
        else:
            log.debug("renewal_not_confirmed")

    def is_stale(self, *arrived: Arrived) -> bool:
        """Say whether somebody else may have one of them by now: this process stood still for too long."""
        oldest = min(self._held.get(each.reply, 0.0) for each in arrived)
        return time.monotonic() - oldest > self._ack_wait_seconds

    async def done(self, *arrived: Arrived) -> None:
        """Ack messages and let them go."""
        await self._settle([each.reply for each in arrived], b"+ACK")

    async def give_back(self, arrived: Arrived, seconds: float) -> None:
        """Hand a message back, to come again in so many seconds, and let it go."""
        await self._settle([arrived.reply], b'-NAK {"delay":%d}' % int(seconds * 1e9))

    async def _settle(self, replies: Sequence[str], word: bytes) -> None:
        try:
            await self._client.publish_to_each(replies, word)
        except (nats.errors.Error, OSError):
            # A lost ack is a redelivery, which every handler takes.
            log.debug("ack_not_sent")
        for reply in replies:
            self._held.pop(reply, None)
            self.bytes -= self._sizes.pop(reply, 0)
        self._changed()
