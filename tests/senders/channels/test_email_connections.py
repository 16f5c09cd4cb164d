"""Connections to the mail server: TLS, logging in, and being used again."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Literal

import pytest

from devstack.smtp import Inbox
from devstack.smtp.faults import SmtpFault
from services.senders.channels.email import EmailChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.domain.sending import Later, Outgoing, Sent, Stopped

Letters = Callable[..., Outgoing]
SENDER = "Carillon <no-reply@carillon.example>"


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


async def test_nobody_at_the_port_is_down(letter: Letters) -> None:
    """A server that cannot be reached is Later(down)."""
    async with Inbox.open() as inbox:
        address = SmtpServer(inbox.host, inbox.port, tls="none")
    async with EmailChannel.open(address, SENDER, now) as channel:
        assert await channel.send(letter()) == Later(None, "down")


async def test_connections_are_used_again_and_few(email: EmailChannel, inbox: Inbox, letter: Letters) -> None:
    """Letters one after another share a connection; however many at once, there are no more than asked."""
    for _ in range(3):
        await email.send(letter())
    assert inbox.postbox.counts()["connections"] == 1
    await asyncio.gather(*(email.send(letter()) for _ in range(20)))
    assert inbox.postbox.counts()["connections"] <= 4


async def test_a_connection_that_died_idle_is_replaced(letter: Letters) -> None:
    """A server that restarts between two letters costs the second one nothing."""
    async with AsyncExitStack() as stack:
        async with Inbox.open() as inbox:
            address = SmtpServer(inbox.host, inbox.port, tls="none")
            channel = await stack.enter_async_context(EmailChannel.open(address, SENDER, now))
            assert isinstance(await channel.send(letter()), Sent)
        again = await stack.enter_async_context(Inbox.open(port=inbox.port))
        assert isinstance(await channel.send(letter()), Sent)
        assert len(again.postbox.mails) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_tls_is_checked(letter: Letters, tls: Literal["starttls", "tls"]) -> None:
    """Over TLS of both kinds a letter goes to a server that we trust, and not to one that we do not."""
    async with Inbox.open(tls=tls, username="u", password="p") as inbox:
        trust = ssl.create_default_context(cadata=inbox.certificate)
        known = SmtpServer(inbox.host, inbox.port, tls=tls, username="u", password="p", trust=trust)
        async with EmailChannel.open(known, SENDER, now) as channel:
            assert isinstance(await channel.send(letter()), Sent)
        assert [mail.tls for mail in inbox.postbox.mails] == [True]
        unknown = SmtpServer(inbox.host, inbox.port, tls=tls, username="u", password="p")
        async with EmailChannel.open(unknown, SENDER, now) as channel:
            assert await channel.send(letter()) == Later(None, "down")
        assert len(inbox.postbox.mails) == 1


async def test_starttls_is_not_done_without(inbox: Inbox, letter: Letters) -> None:
    """A server that offers no STARTTLS gets neither password nor letter where STARTTLS is asked for."""
    address = SmtpServer(inbox.host, inbox.port, tls="starttls", username="carillon", password="s3cret")
    async with EmailChannel.open(address, SENDER, now) as channel:
        assert await channel.send(letter()) == Later(None, "down")
    counts = inbox.postbox.counts()
    assert (counts["connections"], counts["authenticated"], counts["accepted"]) == (1, 0, 0)


@pytest.mark.parametrize(("user", "password"), [("carillon", "guess"), ("nobody", "s3cret"), (None, None)])
async def test_a_wrong_login_stops(
    inbox: Inbox, letter: Letters, user: str | None, password: str | None
) -> None:
    """A wrong user, a wrong password and none at all are Stopped(authentication)."""
    address = SmtpServer(inbox.host, inbox.port, tls="none", username=user, password=password)
    async with EmailChannel.open(address, SENDER, now) as channel:
        assert await channel.send(letter()) == Stopped("authentication")


async def test_a_login_that_cannot_be_checked_now_is_down(
    email: EmailChannel, inbox: Inbox, letter: Letters
) -> None:
    """454 at AUTH (the server cannot check just now) is Later(down), not a wrong password."""
    inbox.postbox.faults.add(SmtpFault(stage="auth", kind="reply", code=454, times=2))
    assert await email.send(letter()) == Later(None, "down")
    assert isinstance(await email.send(letter()), Sent)
