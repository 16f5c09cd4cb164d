"""An instant provider: Telegram, push service and mail server that say yes at once and count.

`python -m bench.limits.provider` listens on PORT for HTTP (every POST succeeds; GET tells the counts as JSON)
and on SMTP_PORT for mail. It speaks on bare sockets and reads nothing, so that it is never the slower side.
"""

import asyncio
import os
from typing import cast

import orjson
import uvloop

HEAD_END, LETTER_END = b"\r\n\r\n", b"\r\n.\r\n"
LENGTH = b"content-length:"
CREATED = b"HTTP/1.1 201 Created\r\nLocation: /message/%d\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
TAKEN = b'{"ok":true,"result":{"message_id":%d}}'


class Counts:
    """What was taken of each kind."""

    def __init__(self) -> None:
        self.taken = {"telegram": 0, "push": 0, "email": 0}

    def take(self, kind: str) -> int:
        """Count one, and return which it is."""
        self.taken[kind] += 1
        return self.taken[kind]


class _Protocol(asyncio.Protocol):
    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass of it.
        self._transport = cast("asyncio.Transport", transport)


class Http(_Protocol):
    """A connection over which requests come."""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is here to its end."""
        self._waiting += data
        while (answer := self._one()) is not None:
            self._transport.write(answer)

    def _one(self) -> bytes | None:
        head, found, body = self._waiting.partition(HEAD_END)
        if not found:
            return None
        at = head.lower().find(LENGTH)
        length = int(head[at + len(LENGTH) :].partition(b"\r")[0]) if at >= 0 else 0
        if len(body) < length:
            return None
        self._waiting = body[length:]
        if head.startswith(b"GET"):
            counts = orjson.dumps(self._counts.taken)
            return OK % len(counts) + counts
        if head.startswith(b"POST /bot"):
            taken = TAKEN % self._counts.take("telegram")
            return OK % len(taken) + taken
        return CREATED % self._counts.take("push")


class Smtp(_Protocol):
    """A connection over which letters come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        super().connection_made(transport)
        self._in_letter = False
        self._transport.write(b"220 bench\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every command and every letter that is here to its end."""
        self._waiting += data
        while True:
            end = LETTER_END if self._in_letter else b"\r\n"
            line, found, rest = self._waiting.partition(end)
            if not found:
                return
            self._waiting = rest
            self._transport.write(self._answer(line[:4].upper()))

    def _answer(self, word: bytes) -> bytes:
        if self._in_letter:
            self._in_letter = False
            return b"250 taken as %d\r\n" % self._counts.take("email")
        if word == b"DATA":
            self._in_letter = True
            return b"354 go on\r\n"
        if word == b"EHLO":
            return b"250-bench\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        return b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n"


async def serve() -> None:
    """Serve until stopped."""
    loop, counts = asyncio.get_running_loop(), Counts()
    await loop.create_server(lambda: Smtp(counts), "127.0.0.1", int(os.environ["SMTP_PORT"]))
    http = await loop.create_server(lambda: Http(counts), "127.0.0.1", int(os.environ["PORT"]))
    await http.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
