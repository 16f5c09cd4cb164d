"""Pull requests on a durable: one at a time, always with an expiry, for as many messages as there is room.

Messages come as they are ready (no batch barrier); whatever ends a request (its messages, its expiry, an
answer of the broker, or nothing at all for too long) leads to the next one.
"""

import asyncio
import time
from collections.abc import Callable

import nats.errors
import orjson
from nats.aio.msg import Msg

from shared import telemetry
from shared.bus.client import Client
from shared.bus.envelope import Arrived
from shared.topology import Durable

EXPIRY_SECONDS = 2.0
AT_ONCE_BYTES = 16 * 1024 * 1024
"""So much may come for one request: the broker cuts off whoever has more than 64 MB still to be read."""
HEADER_BYTES = 64 * 1024
"""More than the headers of a message may have; a request for less than one message would get none."""
GRACE_SECONDS = 1.0
ODD_ANSWER_SECONDS = 1.0

_ENDED = {"404", "408", "409"}
_FULL = "message size exceeds maxbytes"
_GONE = ("consumer deleted", "consumer is push based", "stream deleted")

log = telemetry.logger(__name__)


class Pulling:
    """Keeps one pull request open on a durable and hands its messages to `take`.

    `room` tells how many messages there is room for. `contact_at` is the monotonic time of the broker's
    last sign of life on this durable; it stands still when the durable is gone.
    """

    def __init__(
        self, client: Client, durable: Durable, *, room: Callable[[], int], take: Callable[[Arrived], None]
    ) -> None:
        self._client = client
        self._durable = durable
        self._room = room
        self._take = take
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"
        self._inbox = client.new_inbox()
        self._request = 0
        self._wanted = 0
        self._ended = asyncio.Event()
        self.more_room = asyncio.Event()
        self.contact_at = time.monotonic()

    async def run(self) -> None:
        """Pull until cancelled."""
        async with self._client.delivering(f"{self._inbox}.*", self._arrived, self._status):
            while True:
                self.more_room.clear()
                if room := self._room():
                    await self._pull(room)
                else:
                    await self.more_room.wait()

    async def _pull(self, room: int) -> None:
        self._request += 1
        self._wanted = room
        self._ended.clear()
        largest = max(AT_ONCE_BYTES, self._client.max_payload + HEADER_BYTES)
        body = orjson.dumps({"batch": room, "expires": int(EXPIRY_SECONDS * 1e9), "max_bytes": largest})
        try:
            await self._client.publish(self._subject, body, reply=f"{self._inbox}.{self._request}")
            async with asyncio.timeout(EXPIRY_SECONDS + GRACE_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            log.debug("pull_unanswered", durable=self._durable.name)
        except (nats.errors.Error, OSError):
            # Reconnecting: the client brings the connection back, for ever.
            await asyncio.sleep(ODD_ANSWER_SECONDS)

    def _arrived(self, arrived: Arrived) -> None:
        self.contact_at = time.monotonic()
        self._wanted -= 1
        if self._wanted <= 0:
            self._ended.set()
        self._take(arrived)

    async def _status(self, message: Msg) -> None:
        if not message.subject.endswith(f".{self._request}"):
            return
        headers = message.headers or {}
        status, description = headers.get("Status", ""), headers.get("Description", "").lower()
        if status in _ENDED and not description.startswith(_GONE):
            self.contact_at = time.monotonic()
            if status == "409" and description != _FULL:
                # The server is short of something (or shuts down): no hot loop against it.
                await asyncio.sleep(EXPIRY_SECONDS / 10)
        elif status != "100":
            log.error(
                "durable_unreachable", durable=self._durable.name, status=status, description=description
            )
            await asyncio.sleep(ODD_ANSWER_SECONDS)
        if status != "100":
            self._ended.set()
