"""The e-mail channel against the inbox: each row of the requirements' table, each stage of a letter."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import pytest

from devstack.smtp import Inbox
from devstack.smtp.faults import SmtpFault
from services.senders.channels.email import EmailChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.domain.sending import Ambiguous, Answer, Later, Outgoing, Refused, Sent, Stopped
from shared import ids
from shared.events import Lane

Letters = Callable[..., Outgoing]
SENDER = "Carillon <no-reply@carillon.example>"


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


async def test_a_letter_has_two_parts_and_honest_headers(
    email: EmailChannel, inbox: Inbox, letter: Letters
) -> None:
    """Text and HTML, From, To, Subject, Date, and a Message-ID that is the delivery's and the answer's."""
    item = letter()
    answer = await email.send(item)
    [mail] = inbox.postbox.mails
    name = f"<{ids.to_short(item.delivery_id)}@carillon.example>"
    assert (answer, mail.message["Message-ID"]) == (Sent(name), name)
    assert (mail.sender, mail.recipients) == ("no-reply@carillon.example", ("ann@example.org",))
    assert (mail.message["From"], mail.message["To"]) == (SENDER, "ann@example.org")
    assert mail.message["Subject"] == "🚨 close by hand"
    assert abs((parsedate_to_datetime(mail.message["Date"]) - now()).total_seconds()) < 5
    assert mail.message.get_content_type() == "multipart/alternative"
    assert (mail.part("plain"), mail.part("html")) == ("Grüße\n.dot\n", "<p>Grüße</p>\n")
    assert "List-Unsubscribe" not in mail.message
    assert mail.raw.isascii()


async def test_a_letter_without_html_is_plain(email: EmailChannel, inbox: Inbox, letter: Letters) -> None:
    """A letter with a text only has no empty HTML part; lines that begin with a dot survive."""
    await email.send(letter(content={"html": None, "text": ".\n..\nlast"}))
    [mail] = inbox.postbox.mails
    assert mail.message.get_content_type() == "text/plain"
    assert mail.part("plain") == ".\n..\nlast\n"


async def test_a_campaign_can_be_left_with_one_click(
    email: EmailChannel, inbox: Inbox, letter: Letters
) -> None:
    """List-Unsubscribe is on campaign letters only, whole however long the link is."""
    link = "https://carillon.example/u/" + "a" * 300
    for lane in (Lane.CAMPAIGN, Lane.TRANSACTIONAL):
        assert isinstance(await email.send(letter(lane=lane, content={"unsubscribe_url": link})), Sent)
    campaign, transactional = inbox.postbox.mails
    assert f"List-Unsubscribe: <{link}>\r\n".encode() in campaign.raw
    assert campaign.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in transactional.message


@pytest.mark.parametrize(
    "changes",
    [
        {"content": {"subject": "hi\r\nBcc: eve@example.org"}},
        {"content": {"subject": "hi\nBcc: eve@example.org"}},
        {"content": {"subject": "hi\x00"}},
        {"content": {"subject": "hi\u2028there"}},
        {"content": {"text": "\ud800"}},
        {"content": {"unsubscribe_url": "https://x.example/>\r\nBcc: e@e.example"}, "lane": Lane.CAMPAIGN},
        {"to": "ann@example.org\r\nRCPT TO:<eve@example.org>"},
        {"to": "ann@example.org\n"},
        {"to": "ann@example.org, eve@example.org"},
        {"to": "<ann@example.org>"},
        {"to": "ann"},
        {"to": "ann@"},
        {"to": "@example.org"},
        {"to": "a nn@example.org"},
        {"to": "ann@exa mple.org"},
        {"to": "ann@" + "a" * 64 + ".org"},
        {"to": "änn@example.org"},
        {"to": ""},
    ],
)
async def test_nothing_is_injected(
    email: EmailChannel, inbox: Inbox, letter: Letters, changes: dict[str, object]
) -> None:
    """A subject, link or address that no header may hold is refused as invalid before the server hears."""
    assert await email.send(letter(**changes)) == Refused("invalid")
    assert inbox.postbox.counts()["connections"] == 0


async def test_a_domain_is_spelled_as_dns_does(email: EmailChannel, inbox: Inbox, letter: Letters) -> None:
    """An address whose domain has letters outside ASCII goes to its punycode."""
    assert isinstance(await email.send(letter("ann@exämple.org")), Sent)
    assert inbox.postbox.mails[0].recipients == ("ann@xn--exmple-cua.org",)


@pytest.mark.parametrize("sender", ["nobody", "A\r\nBcc: e@e.example <a@b.example>", "", "<@b.example>"])
def test_a_sender_is_checked_at_once(sender: str) -> None:
    """A sender that is no address is found out when the channel is made."""
    with pytest.raises(ValueError, match=r"sender|address"):
        EmailChannel(SmtpServer("127.0.0.1", 25), sender, now)


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
    email: EmailChannel, inbox: Inbox, letter: Letters, stage: str, answer: Answer
) -> None:
    """A server that says nothing in time is waited for no longer, and its late reply misleads nobody."""
    inbox.postbox.faults.add(SmtpFault.model_validate({"stage": stage, "kind": "slow", "seconds": 1.0}))
    assert await email.send(letter()) == answer
    assert isinstance(await email.send(letter()), Sent)


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
        address = SmtpServer(host, port, tls="none", timeout=5)
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


async def test_a_cancelled_attempt_leaves_no_half_open_connection(
    email: EmailChannel, inbox: Inbox, letter: Letters
) -> None:
    """A task cancelled in the middle takes its connection with it; the next letter is not confused."""
    inbox.postbox.faults.add(SmtpFault(stage="rcpt", kind="slow", seconds=0.3))
    task = asyncio.create_task(email.send(letter()))
    while not inbox.postbox.faults.happened:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await email.send(letter("bob@example.org")), Sent)
    assert [mail.recipients for mail in inbox.postbox.mails] == [("bob@example.org",)]
