"""Connections to the mail server: made when needed, used by one letter at a time, kept for the next."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakSet

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPAuthenticationError, SMTPException

from services.senders.domain.sending import Later, Stopped

FRESH_SECONDS = 0.5
"""For so long after a letter was taken a connection counts as there, and as ready for the next."""


@dataclass(frozen=True)
class SmtpServer:
    """The mail server, and who we are to it; `trust` replaces the system's certificates.

    At most `connections` are open at once. `timeout` (seconds) is for each of: connecting, handing over,
    the last reply.
    """

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    trust: ssl.SSLContext | None = field(default=None, repr=False)
    connections: int = 4
    timeout: float = 30.0


class SmtpLines:
    """The connections to one server; `name` is what we call ourselves in EHLO."""

    def __init__(self, server: SmtpServer, name: str) -> None:
        self._server = server
        self._name = name
        self._free = asyncio.Semaphore(server.connections)
        self._idle: list[tuple[SMTP, float]] = []
        self._clean: WeakSet[SMTP] = WeakSet()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[SMTP | Later | Stopped]:
        """Lend a connection that has just answered, or say why there is none.

        What is not ended in order when the context ends is dropped.
        """
        async with self._free:
            line = await self._used() or await self._new()
            if not isinstance(line, SMTP):
                yield line
                return
            try:
                yield line
            except BaseException:
                line.close()
                raise
            if line.is_connected:
                self._idle.append((line, time.monotonic()))

    def took(self, line: SMTP) -> None:
        """Note that the server has taken a letter: the next one can follow at once."""
        self._clean.add(line)

    async def close(self) -> None:
        """Take leave of the server on every idle connection."""
        while self._idle:
            line, _ = self._idle.pop()
            # Nothing depends on how a goodbye is taken.
            with suppress(SMTPException, OSError):
                await line.quit(timeout=2.0)
            line.close()

    async def _used(self) -> SMTP | None:
        while self._idle:
            line, since = self._idle.pop()
            if line in self._clean and line.is_connected and time.monotonic() - since < FRESH_SECONDS:
                self._clean.discard(line)
                return line
            self._clean.discard(line)
            # RSET asks whether the server is still there, and drops what a refused letter left behind.
            with suppress(SMTPException, OSError):
                await line.rset(timeout=min(5.0, self._server.timeout))
                return line
            line.close()
        return None

    async def _new(self) -> SMTP | Later | Stopped:
        server = self._server
        line = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=self._name,
            timeout=server.timeout,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=server.trust,
        )
        try:
            async with asyncio.timeout(server.timeout):
                await line.connect()
                answer = await self._log_in(line)
        except (SMTPException, OSError):
            answer = Later(None, "down")
        if answer is None:
            return line
        line.close()
        return answer

    async def _log_in(self, line: SMTP) -> Later | Stopped | None:
        if self._server.username is None:
            return None
        await line.ehlo()
        if not line.supported_auth_methods:
            return Stopped("authentication")
        try:
            await line.login(self._server.username, self._server.password or "")
        except SMTPAuthenticationError as error:
            return Stopped("authentication") if error.code >= 500 else Later(None, "down")
        return None
