"""An SMTP inbox on loopback that takes mail, shows it, and is difficult when told to be.

Its control API (`inbox.control_url`; JSON unless said otherwise, errors are `{"error": …}`):

| method | path | does |
|---|---|---|
| GET | `/` | lists this table |
| GET | `/messages?to=` | mails as they came: number, time (Unix), monotonic, from and to (envelope), message_id, subject, headers, text, html, size (bytes), tls, user |
| GET | `/counters` | connections, authenticated, auth_refused, greylisted, refused, accepted, repeated (Message-IDs seen before), faults |
| GET, POST, DELETE | `/faults` | lists, adds, withdraws: stage (connect, auth, mail, rcpt, data_before, data_after, quit), kind (reply, close, slow), code and text, seconds, address (that recipient only), times (1; null: always) |
| GET, PUT | `/rules` | greylist (450 at the first attempt for an address), refuse (addresses that get 550) |
| GET | `/certificate` | the certificate to trust (PEM), where there is TLS |
| POST | `/reset` | forgets mails, counters, faults, known addresses; the first rules hold again |
| GET | `/inbox`, `/inbox/{number}` | pages for a person |

A fault at `data_after` comes when the whole mail is here: `reply` refuses it, `close` and `slow` take it
and then drop the connection before the reply, or keep the client waiting for it.
"""  # noqa: E501  # a table's row is one line

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from devstack.control import serving
from devstack.smtp.certificate import self_made
from devstack.smtp.control import InboxControl
from devstack.smtp.conversation import Conversation, check_login
from devstack.smtp.postbox import Mail, Postbox, Rules

__all__ = ["Inbox", "Mail", "Rules"]


@dataclass(frozen=True)
class Inbox:
    """An open inbox: where it listens and is controlled, what came; `certificate` is PEM, where TLS is."""

    host: str
    port: int
    control_url: str
    certificate: str | None
    postbox: Postbox

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        tls: Literal["none", "starttls", "tls"] = "none",
        username: str | None = None,
        password: str | None = None,
        greylist: bool = False,
        refuse: Iterable[str] = (),
    ) -> AsyncIterator["Inbox"]:
        """Open an inbox while the context lasts; with a `username`, mail is taken from that user only."""
        postbox = Postbox(Rules(greylist=greylist, refuse=tuple(refuse)))
        context, certificate = (None, None) if tls == "none" else self_made()
        conversations: set[Conversation] = set()
        server = await asyncio.get_running_loop().create_server(
            lambda: Conversation(
                postbox,
                conversations,
                required=username is not None,
                authenticator=check_login(username, password, postbox),
                starttls=context if tls == "starttls" else None,
            ),
            host,
            port,
            ssl=context if tls == "tls" else None,
        )
        taken = server.sockets[0].getsockname()[1]
        control = InboxControl(postbox, certificate)
        try:
            async with serving(control.app(), host, control_port) as control_url:
                yield cls(host, taken, control_url, certificate, postbox)
        finally:
            server.close()
            for conversation in tuple(conversations):
                conversation.drop()
            await server.wait_closed()
