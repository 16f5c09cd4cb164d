"""One SMTP connection: aiosmtpd's own, with the faults that it is told to have."""

# ruff: noqa: N802  # aiosmtpd finds methods by the names of SMTP's commands.

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any, AnyStr

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from devstack.smtp.faults import SmtpFault, Stage
from devstack.smtp.postbox import Postbox


class Conversation(SMTP):
    """A connection; `required` says that mail is taken from authenticated clients only."""

    def __init__(
        self,
        postbox: Postbox,
        open_ones: set["Conversation"],
        *,
        required: bool,
        authenticator: Callable[[SMTP, Session, Envelope, str, Any], AuthResult],
        starttls: ssl.SSLContext | None,
    ) -> None:
        # aiosmtpd warns where it asks for AUTH without TLS, which may be meant: check_auth_needed asks here.
        super().__init__(
            _Mails(),
            hostname="inbox.carillon.test",
            ident="ESMTP",
            loop=asyncio.get_running_loop(),
            authenticator=authenticator,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_require_tls=starttls is not None,
        )
        self.postbox = postbox
        self._open_ones = open_ones
        self._required = required

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the connection is open."""
        super().connection_made(transport)
        self._open_ones.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the connection is gone."""
        self._open_ones.discard(self)
        super().connection_lost(error)

    @property
    def encrypted(self) -> bool:
        """Whether what is said goes through TLS."""
        return self._writer.get_extra_info("ssl_object") is not None

    def drop(self) -> None:
        """Cut the connection, with no word."""
        self._writer.transport.abort()

    async def push(self, status: AnyStr) -> None:
        """Send a reply; a 421 announces that the connection closes."""
        await super().push(status)
        if str(status).startswith("421"):
            self._writer.close()

    def fault_at(self, stage: Stage, addresses: Iterable[str] = ()) -> SmtpFault | None:
        """Return the fault in force for a stage of a mail to these recipients."""
        return self.postbox.faults.take(lambda each: each.concerns(stage, addresses))

    async def suffer(self, fault: SmtpFault | None) -> str | None:
        """Let a fault happen; returns the reply that it gives, if any."""
        if fault is None:
            return None
        if fault.kind == "close":
            self.drop()
            # The lost connection cancels this task.
            await asyncio.Event().wait()
        if fault.seconds is not None:
            await asyncio.sleep(fault.seconds)
        return None if fault.code is None else f"{fault.code} {fault.text}"

    async def check_auth_needed(self, caller_method: str) -> bool:
        """Refuse a command of somebody who has to authenticate first."""
        if self._required and not (self.session and self.session.authenticated):
            await self.push(f"530 5.7.0 Authentication required before {caller_method}")
            return True
        return False

    async def smtp_AUTH(self, arg: str) -> None:
        """Take credentials, unless told otherwise."""
        reply = await self.suffer(self.fault_at("auth"))
        await (super().smtp_AUTH(arg) if reply is None else self.push(reply))

    async def smtp_MAIL(self, arg: str | None) -> None:
        """Take a sender, unless told otherwise."""
        reply = await self.suffer(self.fault_at("mail"))
        await (super().smtp_MAIL(arg) if reply is None else self.push(reply))

    async def smtp_DATA(self, arg: str) -> None:
        """Take a mail, unless told otherwise."""
        recipients = self.envelope.rcpt_tos if self.envelope else ()
        reply = await self.suffer(self.fault_at("data_before", recipients))
        await (super().smtp_DATA(arg) if reply is None else self.push(reply))

    async def smtp_QUIT(self, arg: str) -> None:
        """Take leave, unless told otherwise."""
        reply = await self.suffer(self.fault_at("quit"))
        await (super().smtp_QUIT(arg) if reply is None else self.push(reply))

    async def _handle_client(self) -> None:
        self.postbox.counters["connections"] += 1
        reply = await self.suffer(self.fault_at("connect"))
        if reply is None:
            await super()._handle_client()
        else:
            await self.push(reply)
            self._writer.close()


class _Mails:
    """What aiosmtpd asks about a mail, under the names that it asks by."""

    async def handle_RCPT(
        self, server: Conversation, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        fault = server.fault_at("rcpt", (address,))
        reply = await server.suffer(fault) or server.postbox.verdict(address)
        if reply is not None:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Conversation, session: Session, envelope: Envelope) -> str:
        fault = server.fault_at("data_after", envelope.rcpt_tos)
        if fault is None or fault.kind != "reply":
            server.postbox.keep(
                envelope.mail_from or "",
                envelope.rcpt_tos,
                envelope.original_content or b"",
                tls=server.encrypted,
                user=session.auth_data.login.decode() if session.auth_data else None,
            )
        return await server.suffer(fault) or "250 2.0.0 OK: taken"


def check_login(
    username: str | None, password: str | None, postbox: Postbox
) -> Callable[[SMTP, Session, Envelope, str, Any], AuthResult]:
    """Return aiosmtpd's authenticator for one known user; without one, everybody is welcome."""

    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: LoginPassword
    ) -> AuthResult:
        known = username is None or (login.login, login.password) == (
            username.encode(),
            (password or "").encode(),
        )
        postbox.counters["authenticated" if known else "auth_refused"] += 1
        return AuthResult(success=known, handled=known, auth_data=login)

    return authenticate
