"""Messages asked for ahead: the next ones are under way while the last ones are looked at.

It is for consumers that ack nothing. What comes is bounded by what was asked for, and the more is asked for
only as messages are taken.
"""

import asyncio
from typing import Self

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

AT_ONCE = 500
"""Messages of a request."""
REQUESTS = 3
"""Requests that are open, as long as there is so much to ask for."""
EXPIRY_SECONDS = 30.0


class Ahead:
    """Hands over the messages of a consumer one after another; an async context."""

    def __init__(self, client: Client, stream: str, consumer: str, wanted: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
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
        # The connection may be gone already; the server drops the interest with it.
        if not self._client.is_closed and not self._client.is_reconnecting:
            await self._subscription.unsubscribe()

    async def next(self, *, seconds: float) -> Msg | None:
        """Return the next message; None when none comes in time, or the broker says that none will."""
        if self._come.empty():
            try:
                async with asyncio.timeout(seconds):
                    message = await self._come.get()
            except TimeoutError:
                return None
        else:
            message = self._come.get_nowait()
        if not message.reply:
            return None
        self._asked -= 1
        if self._asked <= (REQUESTS - 1) * AT_ONCE and self._unasked:
            await self._ask()
        return message

    async def _ask(self) -> None:
        while self._unasked and self._asked <= (REQUESTS - 1) * AT_ONCE:
            batch = min(AT_ONCE, self._unasked)
            body = orjson.dumps({"batch": batch, "expires": int(EXPIRY_SECONDS * 1e9)})
            try:
                await self._client.publish(self._subject, body, reply=self._inbox)
            except (nats.errors.Error, OSError):
                # Reconnecting: nothing comes then, and whoever waits asks what is left.
                return
            self._unasked, self._asked = self._unasked - batch, self._asked + batch

    async def _arrived(self, message: Msg) -> None:
        self._come.put_nowait(message)
