"""How far a letter came when something happens, at each stage of SMTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from devstack.smtp import Inbox
from devstack.smtp.faults import SmtpFault
from services.senders.channels.email import EmailChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.domain.sending import Ambiguous, Answer, Later, Outgoing, Refused, Sent, Stopped
from tests.senders.channels.conftest import PATIENCE

Letters = Callable[..., Outgoing]
SENDER = "Carillon <no-reply@carillon.example>"


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@pytest.mark.parametrize(
    ("stage", "code", "text", "answer"),
    [
        ("connect", 421, "busy", Later(None, "down")),
        ("connect", 554, "no service", Later(None, "down")),
        ("mail", 450, "4.2.0 later", Later(None, "greylisted")),
        ("mail", 421, "closing", Later(None, "down")),
        ("mail", 550, "5.7.1 not from you", Refused("rejected")),
        ("mail", 530, "5.7.0 authenticate first", Stopped("authentication")),
        ("rcpt", 450, "4.2.0 greylisted", Later(None, "greylisted")),
        ("rcpt", 452, "4.2.2 mailbox full", Later(None, "greylisted")),
        ("rcpt", 421, "closing", Later(None, "down")),
        ("rcpt", 550, "5.1.1 no such user", Refused("recipient_refused", suppresses=True)),
        ("rcpt", 553, "5.1.10 null MX", Refused("recipient_refused", suppresses=True)),
        ("rcpt", 550, "5.7.1 relaying denied", Refused("recipient_refused")),
        ("rcpt", 550, "no such user", Refused("recipient_refused")),
        ("data_before", 451, "4.3.0 later", Later(None, "greylisted")),
        ("data_before", 554, "5.7.1 no", Refused("rejected")),
        ("data_after", 451, "4.3.0 later", Later(None, "greylisted")),
        ("data_after", 421, "closing", Later(None, "down")),
        ("data_after", 550, "5.7.1 spam", Refused("rejected")),
        ("data_after", 552, "5.3.4 too big", Refused("too_large")),
    ],
)
async def test_a_reply_tells_what_became_of_the_letter(
    email: EmailChannel, inbox: Inbox, letter: Letters, stage: str, code: int, text: str, answer: Answer
) -> None:
    """4xx is later, 5xx is never, 421 is the server, 53x is us; nothing was taken, the next one is."""
    inbox.postbox.faults.add(
        SmtpFault.model_validate({"stage": stage, "kind": "reply", "code": code, "text": text})
    )
    assert await email.send(letter()) == answer
    assert inbox.postbox.mails == []
    assert isinstance(await email.send(letter()), Sent)


@pytest.mark.parametrize(
    ("stage", "answer", "taken"),
    [
        ("connect", Later(None, "down"), 0),
        ("auth", Later(None, "down"), 0),
        ("mail", Later(None, "no_effect"), 0),
        ("rcpt", Later(None, "no_effect"), 0),
        ("data_before", Later(None, "no_effect"), 0),
        ("data_after", Ambiguous("connection_lost"), 1),
    ],
)
@pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])
async def test_a_lost_connection_is_ambiguous_after_the_end_of_data_only(
    email: EmailChannel, inbox: Inbox, letter: Letters, *, stage: str, answer: Answer, taken: int, used: bool
) -> None:
    """Before the end of DATA nothing can have happened; after it nobody knows."""
    if used and stage not in {"connect", "auth"}:
        await email.send(letter())
        inbox.postbox.mails.clear()
    inbox.postbox.faults.add(SmtpFault.model_validate({"stage": stage, "kind": "close"}))
    assert await email.send(letter()) == answer
    assert len(inbox.postbox.mails) == taken
    assert isinstance(await email.send(letter()), Sent)


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("connect", Later(None, "down")),
        ("mail", Later(None, "no_effect")),
        ("data_before", Later(None, "no_effect")),
        ("data_after", Ambiguous("timeout")),
    ],
)
async def test_silence_is_ambiguous_after_the_end_of_data_only(
    hasty_email: EmailChannel, inbox: Inbox, letter: Letters, stage: str, answer: Answer
) -> None:
    """A server that says nothing in time is waited for no longer, and its late reply misleads nobody."""
    inbox.postbox.faults.add(SmtpFault.model_validate({"stage": stage, "kind": "slow", "seconds": 4.0}))
    assert await hasty_email.send(letter()) == answer
    assert isinstance(await hasty_email.send(letter()), Sent)


@asynccontextmanager
async def taking_data(
    then: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[EmailChannel]:
    """Open the channel to a server that comes as far as 354, and does something of its own then."""
    over = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        for reply in (b"250 hello", b"250 ok", b"250 ok", b"354 go on"):
            await reader.readline()
            writer.write(reply + b"\r\n")
        await then(reader, writer)
        writer.transport.abort()
        over.set()

    async with await asyncio.start_server(converse, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        address = SmtpServer(host, port, tls="none", timeout=PATIENCE)
        async with EmailChannel.open(address, SENDER, now) as channel:
            yield channel
            await over.wait()
        # The abort closes the socket in the loop's next round.
        await asyncio.sleep(0)


async def test_a_letter_cut_before_its_end_had_no_effect(letter: Letters) -> None:
    """A server that goes away while a long letter is still leaving cannot have taken it."""

    async def read_a_little(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)

    async with taking_data(read_a_little) as channel:
        long = letter(content={"text": "a long letter\n" * 1_000_000, "html": None})
        assert await channel.send(long) == Later(None, "no_effect")


@pytest.mark.parametrize("said", [b"what?", b"354 go on"])
async def test_a_reply_without_sense_after_the_end_is_ambiguous(letter: Letters, said: bytes) -> None:
    """Whatever is neither a yes nor a no after the end of DATA leaves it open."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(said + b"\r\n")
        await writer.drain()

    async with taking_data(babble) as channel:
        assert await channel.send(letter()) == Ambiguous("server_error")


async def test_greylisting_is_waited_out(letter: Letters) -> None:
    """The first attempt at an unknown address is Later(greylisted), the second is taken."""
    async with Inbox.open(greylist=True) as inbox:
        address = SmtpServer(inbox.host, inbox.port, tls="none")
        async with EmailChannel.open(address, SENDER, now) as channel:
            item = letter()
            assert await channel.send(item) == Later(None, "greylisted")
            assert isinstance(await channel.send(item), Sent)


async def test_a_cancelled_attempt_leaves_no_half_open_connection(
    email: EmailChannel, inbox: Inbox, letter: Letters
) -> None:
    """A task cancelled in the middle takes its connection with it; the next letter is not confused."""
    inbox.postbox.faults.add(SmtpFault(stage="rcpt", kind="slow", seconds=30))
    task = asyncio.create_task(email.send(letter()))
    while not inbox.postbox.faults.happened:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await email.send(letter("bob@example.org")), Sent)
    assert [mail.recipients for mail in inbox.postbox.mails] == [("bob@example.org",)]
