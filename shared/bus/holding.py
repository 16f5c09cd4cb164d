"""What a consumption holds: messages that the broker has handed over and that are not settled yet."""

import time
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import telemetry
from shared.bus.envelope import Arrived

log = telemetry.logger(__name__)


class Holding:
    """The messages held of one durable; `changed` is called when one is let go."""

    def __init__(self, client: Client, ack_wait_seconds: float, changed: Callable[[], None]) -> None:
        self._client = client
        self._ack_wait_seconds = ack_wait_seconds
        self._changed = changed
        self._held: dict[str, float] = {}
        """Reply subjects, with the monotonic time at which the broker was last told that we are at it."""

    def __len__(self) -> int:
        return len(self._held)

    def take(self, message: Msg) -> Arrived:
        """Hold a message that has just come."""
        self._held[message.reply] = time.monotonic()
        return Arrived.read(message)

    async def renew(self) -> None:
        """Tell the broker that everything held is still being worked on."""
        for reply in list(self._held):
            await self._tell(reply, b"+WPI")
            if reply in self._held:
                self._held[reply] = time.monotonic()

    def is_stale(self, arrived: Arrived) -> bool:
        """Say whether somebody else may have the message by now: this process stood still for too long."""
        renewed = self._held.get(arrived.message.reply, 0.0)
        return time.monotonic() - renewed > self._ack_wait_seconds

    async def done(self, arrived: Arrived) -> None:
        """Ack a message and let it go."""
        await self._tell(arrived.message.reply, b"+ACK")
        self._let_go(arrived)

    async def give_back(self, arrived: Arrived, seconds: float) -> None:
        """Hand a message back, to come again in so many seconds, and let it go."""
        await self._tell(arrived.message.reply, b'-NAK {"delay":%d}' % int(seconds * 1e9))
        self._let_go(arrived)

    def _let_go(self, arrived: Arrived) -> None:
        self._held.pop(arrived.message.reply, None)
        self._changed()

    async def _tell(self, reply: str, word: bytes) -> None:
        try:
            await self._client.publish(reply, word)
        except (nats.errors.Error, OSError):
            # A lost ack is a redelivery, which every handler takes.
            log.debug("ack_not_sent")
