"""Messages asked for ahead: the next ones are under way while the last ones are looked at.

It is for consumers that ack nothing. What comes is bounded by what was asked for, in number and in bytes, and
more is asked for only as messages are taken.
"""

import asyncio
from contextlib import suppress
from typing import Self

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

AT_ONCE = 500
"""Messages of a request."""
REQUESTS = 3
"""Requests that are open, as long as there is so much to ask for."""
BYTES = 4 << 20
"""Bytes of a request, which the broker ends when the next message goes beyond; at least a message fits."""
HEADROOM = 64 << 10
EXPIRY_SECONDS = 30.0
_TOO_MANY_BYTES = "Message Size Exceeds MaxBytes"
_LEFT = "Nats-Pending-Messages"


class Ahead:
    """Hands over the messages of a consumer one after another; an async context."""

    def __init__(self, client: Client, stream: str, consumer: str, wanted: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._bytes = max(BYTES, client.max_payload + HEADROOM)
        self._unasked = wanted
        self._asked = 0
        self._come: asyncio.Queue[Msg] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Ask for the first messages."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._arrived)
        await self._ask()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ask for no more."""
        # Also while there is no connection: the client would take it up again with the next one.
        with suppress(nats.errors.Error, OSError):
            await self._subscription.unsubscribe()

    async def next(self, *, seconds: float) -> Msg | None:
        """Return the next message; None when none comes in time, or the broker says that none will."""
        while message := await self._next(seconds):
            if message.reply:
                self._asked -= 1
                await self._ask()
                return message
            left = _left_by_size(message)
            if left is None:
                break
            self._unasked, self._asked = self._unasked + left, self._asked - left
            await self._ask()
        return None

    async def _next(self, seconds: float) -> Msg | None:
        if not self._come.empty():
            return self._come.get_nowait()
        try:
            async with asyncio.timeout(seconds):
                return await self._come.get()
        except TimeoutError:
            return None

    async def _ask(self) -> None:
        while self._unasked and self._asked <= (REQUESTS - 1) * AT_ONCE:
            batch = min(AT_ONCE, self._unasked)
            body = orjson.dumps(
                {"batch": batch, "max_bytes": self._bytes, "expires": int(EXPIRY_SECONDS * 1e9)}
            )
            try:
                await self._client.publish(self._subject, body, reply=self._inbox)
            except (nats.errors.Error, OSError):
                # Reconnecting: nothing comes then, and whoever waits asks what is left.
                return
            self._unasked, self._asked = self._unasked - batch, self._asked + batch

    async def _arrived(self, message: Msg) -> None:
        self._come.put_nowait(message)


def _left_by_size(status: Msg) -> int | None:
    """Return how many messages of a request are left that ended by its size; None where it did not."""
    headers = status.headers or {}
    if headers.get("Description") != _TOO_MANY_BYTES:
        return None
    return int(headers.get(_LEFT, 0))
