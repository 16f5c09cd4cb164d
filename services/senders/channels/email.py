"""E-mail: a letter is handed over command by command, so that it is known how far it came."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from email.headerregistry import Address
from typing import cast

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from services.senders.channels.letter import Letter, sender_of, write
from services.senders.channels.smtp import SmtpLines, SmtpServer
from services.senders.domain.sending import (
    Ambiguous,
    Answer,
    EmailContent,
    EmailTarget,
    Later,
    Outgoing,
    Refused,
    Sent,
    Stopped,
)
from shared import events

# RFC 3463: the mailbox or its domain does not exist, has moved, takes no mail, is disabled.
_NOBODY_THERE = re.compile(r"5\.(1\.(1|2|3|6|10)|2\.1)\b")
_TOO_LARGE = re.compile(r"5\.(3\.4|2\.3)\b")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class EmailChannel:
    """E-mail over one SMTP server, from one sender (`Name <local@domain>`)."""

    name = events.Channel.EMAIL

    def __init__(
        self,
        server: SmtpServer,
        sender: str,
        now: Callable[[], datetime],
        *,
        others: Mapping[str, str] | None = None,
    ) -> None:
        self._sender = sender_of(sender)
        self._others = {address: sender_of(other) for address, other in (others or {}).items()}
        self._lines = SmtpLines(server, self._sender.domain)
        self._timeout = server.timeout
        self._now = now

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        server: SmtpServer,
        sender: str,
        now: Callable[[], datetime],
        *,
        others: Mapping[str, str] | None = None,
    ) -> AsyncIterator["EmailChannel"]:
        """Keep a channel while the context lasts; raises ValueError when the sender is no address.

        A letter may name one of the `others` (by address in lower case) as its sender, and nobody else.
        """
        channel = cls(server, sender, now, others=others)
        try:
            yield channel
        finally:
            await channel._lines.close()

    async def send(self, item: Outgoing) -> Answer:
        """Hand a letter to the server; the Message-ID is the provider's id, the same at every attempt."""
        if not isinstance(item.to, EmailTarget) or not isinstance(item.content, EmailContent):
            raise TypeError("the e-mail channel sends e-mail")
        sender = self._sender_of(item.content)
        if sender is None:
            return Refused("invalid")
        try:
            letter = write(
                item.content,
                sender=sender,
                to=item.to.address,
                delivery_id=item.delivery_id,
                lane=item.lane,
                at=self._now(),
            )
        except ValueError:
            return Refused("invalid")
        async with self._lines.one() as line:
            return await self._hand_over(line, letter) if isinstance(line, SMTP) else line

    def _sender_of(self, content: EmailContent) -> Address | None:
        """Return whose letter it is: the default sender's, or one that is allowed; None for any other."""
        if content.sender is None or content.sender.casefold() == self._sender.addr_spec.casefold():
            return self._sender
        return self._others.get(content.sender.casefold())

    async def _hand_over(self, line: SMTP, letter: Letter) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                await line.mail(letter.sender)
                await line.rcpt(letter.recipient)
                go_ahead = await line.execute_command(b"DATA")
                if go_ahead.code != 354:
                    return _refusal(go_ahead.code, go_ahead.message)
                await _write_all_but_the_end(line, letter.raw)
        except SMTPRecipientRefused as error:
            return _recipient_refusal(error.code, error.message)
        except SMTPResponseException as error:
            return _refusal(error.code, error.message)
        except (SMTPException, OSError):
            line.close()
            return Later(None, "no_effect")
        return await self._end(line, letter)

    async def _end(self, line: SMTP, letter: Letter) -> Answer:
        protocol = line.protocol
        if protocol is None or not protocol.is_connected:
            line.close()
            return Later(None, "no_effect")
        protocol.write(b".\r\n")
        # From here on the server may have taken the letter, whatever becomes of its reply.
        try:
            reply = await protocol.read_response(self._timeout)
        except SMTPTimeoutError:
            line.close()
            return Ambiguous("timeout")
        except SMTPServerDisconnected:
            line.close()
            return Ambiguous("connection_lost")
        except SMTPResponseException:
            line.close()
            return Ambiguous("server_error")
        if reply.code // 100 == 2:
            self._lines.took(line)
            return Sent(letter.message_id)
        known = reply.code // 100 in {4, 5}
        return _refusal(reply.code, reply.message) if known else Ambiguous("server_error")


async def _write_all_but_the_end(line: SMTP, raw: bytes) -> None:
    protocol, transport = line.protocol, cast("asyncio.WriteTransport | None", line.transport)
    if protocol is None or transport is None:
        raise SMTPServerDisconnected("the connection is gone")
    protocol.write(_LEADING_DOT.sub(b"..", raw))
    # What has not left yet when the connection fails cannot have been taken: so the end waits for it.
    while transport.get_write_buffer_size() and not transport.is_closing():
        await asyncio.sleep(0.01)


def _recipient_refusal(code: int, text: str) -> Answer:
    if code // 100 != 5 or code == 530:
        return _refusal(code, text)
    return Refused("recipient_refused", suppresses=_NOBODY_THERE.match(text) is not None)


def _refusal(code: int, text: str) -> Answer:
    """Return what a reply other than yes means; whatever it is, the letter was not taken."""
    if code in {530, 534, 535, 538}:
        return Stopped("authentication")
    if code == 421:
        return Later(None, "down")
    if code // 100 == 4:
        return Later(None, "greylisted")
    if code == 552 or _TOO_LARGE.match(text):
        return Refused("too_large")
    return Refused("rejected") if code // 100 == 5 else Later(None, "no_effect")
