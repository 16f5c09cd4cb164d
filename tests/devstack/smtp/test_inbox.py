"""The SMTP inbox, met by Python's own smtplib, which knows nothing of us."""

import asyncio
import smtplib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage

import aiohttp
import pytest

from devstack.smtp import Inbox


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """Open an inbox as it comes."""
    async with Inbox.open() as opened:
        yield opened


def letter(subject: str = "Grüße", to: str = "ann@example.org") -> EmailMessage:
    """Return a mail in two parts, with something awkward in each."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "carillon@example.org", to, subject
    message["Message-ID"] = "<one@example.org>"
    message.set_content("plain ✅\n.a line with a dot")
    message.add_alternative("<p>rich <b>✅</b></p><script>alert(1)</script>", subtype="html")
    return message


async def at(inbox: Inbox, what: Callable[[smtplib.SMTP], object]) -> object:
    """Connect with smtplib, in a thread, and do something."""

    def talk() -> object:
        with smtplib.SMTP(inbox.host, inbox.port, timeout=5) as client:
            return what(client)

    return await asyncio.to_thread(talk)


async def test_a_mail_is_shown_as_it_was_sent(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """Envelope, headers, both parts, size and arrival of a mail can be read from the control API."""
    before = time.time()
    await at(inbox, lambda client: client.send_message(letter()))
    [mail] = (await (await http.get(f"{inbox.control_url}/messages")).json())["messages"]
    assert (mail["from"], mail["to"]) == ("carillon@example.org", ["ann@example.org"])
    assert (mail["subject"], mail["message_id"]) == ("Grüße", "<one@example.org>")
    assert ["To", "ann@example.org"] in mail["headers"]
    assert mail["text"] == "plain ✅\n.a line with a dot\n"
    assert mail["html"].startswith("<p>rich <b>✅</b></p>")
    assert mail["size"] > 200
    assert before <= mail["time"] <= time.time()
    assert mail["monotonic"] <= time.monotonic()


async def test_mails_can_be_asked_for_by_recipient(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """`?to=` gives one recipient's mails only."""
    await at(inbox, lambda client: client.send_message(letter(to="ann@example.org")))
    await at(inbox, lambda client: client.send_message(letter(to="bob@example.org")))
    answer = await (await http.get(f"{inbox.control_url}/messages", params={"to": "bob@example.org"})).json()
    assert [mail["to"] for mail in answer["messages"]] == [["bob@example.org"]]


async def test_counters_tell_what_happened(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """Connections, accepted mails and repeated Message-IDs are counted; reset starts again from nought."""
    for _ in range(2):
        await at(inbox, lambda client: client.send_message(letter()))
    counters = await (await http.get(f"{inbox.control_url}/counters")).json()
    assert (counters["connections"], counters["accepted"], counters["repeated"]) == (2, 2, 1)
    counters = await (await http.post(f"{inbox.control_url}/reset")).json()
    assert set(counters.values()) == {0}
    assert not inbox.postbox.mails


async def test_greylisting_defers_the_first_attempt_for_each_address(http: aiohttp.ClientSession) -> None:
    """The first RCPT for an address gets 450, the second is taken; addresses do not vouch for each other."""
    async with Inbox.open(greylist=True) as inbox:
        for address in ("ann@example.org", "bob@example.org"):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                await at(inbox, lambda client, to=address: client.send_message(letter(to=to)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            assert refused.value.recipients[address][0] == 450
            await at(inbox, lambda client, to=address: client.send_message(letter(to=to)))  # type: ignore[misc]  # as above
        assert inbox.postbox.counts()["greylisted"] == 2
        assert inbox.postbox.counts()["accepted"] == 2


async def test_named_addresses_are_refused(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """An address in the rules gets 550 in any case of its letters, the others are taken."""
    await http.put(f"{inbox.control_url}/rules", json={"refuse": ["Gone@example.org"]})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await at(inbox, lambda client: client.send_message(letter(to="gone@EXAMPLE.org")))
    assert refused.value.recipients["gone@EXAMPLE.org"][0] == 550
    await at(inbox, lambda client: client.send_message(letter(to="here@example.org")))
    assert inbox.postbox.counts()["refused"] == 1
    assert [mail.recipients for mail in inbox.postbox.mails] == [("here@example.org",)]


async def test_mail_is_taken_from_the_known_user_only() -> None:
    """Without AUTH a mail gets 530, with a wrong password 535, with the right one it is taken."""
    async with Inbox.open(username="carillon", password="s3cret") as inbox:
        with pytest.raises(smtplib.SMTPSenderRefused) as unknown:
            await at(inbox, lambda client: client.send_message(letter()))
        assert unknown.value.smtp_code == 530
        with pytest.raises(smtplib.SMTPAuthenticationError) as wrong:
            await at(inbox, lambda client: client.login("carillon", "guess"))
        assert wrong.value.smtp_code == 535
        await at(inbox, lambda client: (client.login("carillon", "s3cret"), client.send_message(letter())))
        assert [mail.user for mail in inbox.postbox.mails] == ["carillon"]


async def test_starttls_is_asked_for_and_given() -> None:
    """With STARTTLS nothing goes in the clear, and the certificate is good for loopback."""
    async with Inbox.open(tls="starttls", username="carillon", password="s3cret") as inbox:
        trusting = ssl.create_default_context(cadata=inbox.certificate)
        with pytest.raises(smtplib.SMTPSenderRefused):
            await at(inbox, lambda client: client.send_message(letter()))

        def talk(client: smtplib.SMTP) -> None:
            client.starttls(context=trusting)
            client.login("carillon", "s3cret")
            client.send_message(letter())

        await at(inbox, talk)
        assert [mail.tls for mail in inbox.postbox.mails] == [True]


async def test_tls_from_the_first_byte(http: aiohttp.ClientSession) -> None:
    """With implicit TLS the greeting comes encrypted; the control API hands out what is to be trusted."""
    async with Inbox.open(tls="tls") as inbox:
        pem = await (await http.get(f"{inbox.control_url}/certificate")).text()

        def talk() -> None:
            context = ssl.create_default_context(cadata=pem)
            with smtplib.SMTP_SSL(inbox.host, inbox.port, timeout=5, context=context) as client:
                client.send_message(letter())

        await asyncio.to_thread(talk)
        assert [mail.tls for mail in inbox.postbox.mails] == [True]


async def test_a_person_can_look_at_the_mails(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """The pages list the mails and show each part; nothing in a mail can run or break out of its frame."""
    await at(inbox, lambda client: client.send_message(letter(subject="<i>danger</i>")))
    listing = await (await http.get(f"{inbox.control_url}/inbox")).text()
    assert "&lt;i&gt;danger&lt;/i&gt;" in listing
    page = await http.get(f"{inbox.control_url}/inbox/1")
    text = await page.text()
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "<iframe sandbox " in text
    assert "plain ✅" in text
    assert "<script>" not in text
    assert "<i>danger" not in text
    missing = await http.get(f"{inbox.control_url}/inbox/2")
    assert (missing.status, await missing.json()) == (404, {"error": "Not Found"})


async def test_the_control_api_lists_itself(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """`GET /` names every control with what it does."""
    listing = await (await http.get(inbox.control_url)).json()
    assert listing["simulator"] == "smtp"
    paths = {(each["method"], each["path"]) for each in listing["controls"]}
    assert {("GET", "/messages"), ("POST", "/faults"), ("DELETE", "/faults"), ("POST", "/reset")} <= paths
    assert all(each["does"] for each in listing["controls"])


async def test_closing_cuts_whoever_is_still_connected() -> None:
    """An inbox that closes leaves no connection behind."""
    async with Inbox.open() as inbox:
        reader, writer = await asyncio.open_connection(inbox.host, inbox.port)
        assert (await reader.readline()).startswith(b"220 ")
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect((inbox.host, inbox.port))
