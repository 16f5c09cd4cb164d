"""The front of the HTTP server: plain requests to the webhook are answered here, all others by aiohttp.

What aiohttp does for a request takes longer than storing the press that it brings. A connection begins here,
and is handed to aiohttp, for good and with every byte, at its first request that is not plain.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from services.gateway.api.plain import Head, is_begun, read_head
from services.gateway.domain.bots import DoorBot

IDLE_SECONDS = 75.0
"""For so long a connection may stay without a request."""


class Taking(Protocol):
    """Somebody who answers plain requests to a bot."""

    def admits(self, head: Head, peer: str | None) -> DoorBot | None:
        """Return the bot that a request may speak to, None where aiohttp says why not; counts nothing."""

    async def answer(self, bot: DoorBot, head: Head, body: bytes) -> bytes:
        """Return the whole answer to a request that is admitted, whatever happens."""


class Front:
    """Makes the protocol of every connection; `behind` makes aiohttp's."""

    def __init__(self, behind: Callable[[], asyncio.Protocol], taking: Taking, largest: int) -> None:
        self.behind = behind
        self.taking = taking
        self.largest = largest
        self.connections: set[Connection] = set()
        self.is_closing = False

    def __call__(self) -> "Connection":
        """Return the protocol of a connection that is made."""
        return Connection(self)

    async def close(self, seconds: float) -> None:
        """End what is idle at once, and what is being answered when it is, within so many seconds."""
        self.is_closing = True
        running = [task for each in list(self.connections) if (task := each.finish()) is not None]
        if running:
            await asyncio.wait(running, timeout=seconds)
        for each in list(self.connections):
            each.abort()


class Connection(asyncio.Protocol):
    """A connection: one request at a time, the next one when the last is answered."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._unread = bytearray()
        self._begun: tuple[DoorBot, Head] | None = None
        """The request whose body is still to come."""
        self._answering: asyncio.Task[None] | None = None
        self._last = False
        self._is_full = False
        self._is_held = False
        self._active_at = self._loop.time()

    # --- what the transport calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's are no subclass of it.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer: str | None = peer[0] if peer else None
        self._front.connections.add(self)
        self._timer = self._loop.call_later(IDLE_SECONDS, self._look)
        if self._front.is_closing:
            self._last = True
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, or several."""
        self._unread += data
        if self._answering is None and not self._is_full:
            self._go_on()
        elif not self._is_held:
            # What comes before it can be answered waits, most of it on its way here.
            self._is_held = True
            self._transport.pause_reading()

    def connection_lost(self, _: Exception | None) -> None:
        """End; an update that is being stored is stored all the same."""
        self._timer.cancel()
        self._front.connections.discard(self)

    def pause_writing(self) -> None:
        """Note that whoever asks does not read the answers: no more of them."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on answering."""
        self._is_full = False
        if self._answering is None:
            self._go_on()

    # --- requests ---------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Answer the next request when it is here, and only else let more come."""
        if self._is_full or self._transport.is_closing():
            return
        if self._unread:
            self._read()
        if self._is_held and self._answering is None:
            self._is_held = False
            self._transport.resume_reading()

    def _read(self) -> None:
        """Begin with the request that is here, if it is here to its end, or hand it over."""
        if self._begun is None:
            head = read_head(self._unread, self._front.largest)
            bot = self._front.taking.admits(head, self._peer) if head is not None else None
            if head is None or bot is None:
                if not is_begun(self._unread):
                    self._hand_over()
                return
            self._begun = bot, head
            self._active_at = self._loop.time()
        bot, head = self._begun
        end = head.size + head.length
        if len(self._unread) >= end:
            body = bytes(self._unread[head.size : end])
            del self._unread[:end]
            self._begun = None
            self._answering = self._loop.create_task(self._answer(bot, head, body))

    async def _answer(self, bot: DoorBot, head: Head, body: bytes) -> None:
        try:
            answer = await self._front.taking.answer(bot, head, body)
        except Exception:
            self._transport.abort()
            raise
        finally:
            self._answering = None
        if self._transport.is_closing():
            return
        self._transport.write(answer)
        if self._last:
            self._transport.close()
        else:
            self._active_at = self._loop.time()
            self._go_on()

    def _hand_over(self) -> None:
        self._timer.cancel()
        self._front.connections.discard(self)
        if self._is_held:
            # Whoever comes behind decides anew whether more is to be read.
            self._is_held = False
            self._transport.resume_reading()
        behind = self._front.behind()
        self._transport.set_protocol(behind)
        behind.connection_made(self._transport)
        behind.data_received(bytes(self._unread))

    # --- ends -------------------------------------------------------------------------------------------

    def finish(self) -> asyncio.Task[None] | None:
        """Take no more requests; return what still answers the last one."""
        self._last = True
        if self._answering is None:
            self._transport.close()
        return self._answering

    def abort(self) -> None:
        """End whatever runs."""
        if self._answering is not None:
            self._answering.cancel()
        self._transport.close()

    def _look(self) -> None:
        """End a connection that has been idle for too long, or takes too long to bring a head or a body."""
        left = self._active_at + IDLE_SECONDS - self._loop.time()
        if self._answering is None and left <= 0:
            self._transport.abort()
            return
        self._timer = self._loop.call_later(max(left, 1.0), self._look)
