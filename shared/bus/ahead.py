"""Messages asked for ahead: the next ones are under way while the last ones are looked at.

It is for consumers that ack nothing. What comes is bounded by what was asked for, in number and in bytes, and
more is asked for only as messages are taken.
"""

import asyncio
from collections import deque
from typing import Self

import nats.errors
import orjson
from nats.aio.msg import Msg

from shared.bus.client import Client
from shared.bus.envelope import Arrived

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
        self._come: deque[Arrived | Msg] = deque()
        self._there = asyncio.Event()
        self._delivering = client.delivering(self._inbox, self._arrived, self._told)

    async def __aenter__(self) -> Self:
        """Ask for the first messages."""
        await self._delivering.__aenter__()
        await self._ask()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ask for no more."""
        await self._delivering.__aexit__(None, None, None)

    async def next(self, *, seconds: float) -> Arrived | None:
        """Return the next message; None when none comes in time, or the broker says that none will."""
        while come := self._come.popleft() if self._come else await self._wait(seconds):
            if isinstance(come, Arrived):
                self._asked -= 1
                if self._wants():
                    await self._ask()
                return come
            left = _left_by_size(come)
            if left is None:
                break
            self._unasked, self._asked = self._unasked + left, self._asked - left
            await self._ask()
        return None

    async def _wait(self, seconds: float) -> Arrived | Msg | None:
        self._there.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._there.wait()
        except TimeoutError:
            return None
        return self._come.popleft()

    def _wants(self) -> bool:
        return self._unasked > 0 and self._asked <= (REQUESTS - 1) * AT_ONCE

    async def _ask(self) -> None:
        while self._wants():
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

    def _arrived(self, arrived: Arrived) -> None:
        self._come.append(arrived)
        self._there.set()

    async def _told(self, message: Msg) -> None:
        self._come.append(message)
        self._there.set()


def _left_by_size(status: Msg) -> int | None:
    """Return how many messages of a request are left that ended by its size; None where it did not."""
    headers = status.headers or {}
    if headers.get("Description") != _TOO_MANY_BYTES:
        return None
    return int(headers.get(_LEFT, 0))
