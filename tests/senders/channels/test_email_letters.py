"""What a letter looks like, and what it cannot be made to say."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devstack.smtp import Inbox
from services.senders.channels.email import EmailChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.domain.sending import Outgoing, Refused, Sent
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


async def test_who_may_be_named_as_sender(inbox: Inbox, letter: Letters) -> None:
    """A letter comes from the default sender or one that is allowed, as it is listed; from nobody else."""
    server = SmtpServer(inbox.host, inbox.port, tls="none", username="carillon", password="s3cret")
    others = {"news@carillon.example": "News <news@carillon.example>"}
    async with EmailChannel.open(server, SENDER, now, others=others) as channel:
        for named in (None, "No-Reply@carillon.example", "NEWS@carillon.example"):
            assert isinstance(await channel.send(letter(content={"sender": named})), Sent)
        for named in ("eve@carillon.example", "news@carillon.example\r\nBcc: e@e.example", ""):
            assert await channel.send(letter(content={"sender": named})) == Refused("invalid")
    news = "News <news@carillon.example>"
    assert [mail.message["From"] for mail in inbox.postbox.mails] == [SENDER, SENDER, news]
    assert inbox.postbox.mails[-1].sender == "news@carillon.example"


TRICKS = st.sampled_from(
    [
        "\r\n",
        "\n",
        "\r",
        "\x85",
        "\u2028",
        "\n.\n",
        "Bcc: eve@e.example",
        ":",
        ">",
        "=?utf-8?q?=0A?=",
        "\u0130",
    ]
)
TEXTS = st.lists(TRICKS | st.text(max_size=20), max_size=6).map("".join)
HEADERS = sorted(
    ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(subject=TEXTS, text=TEXTS, to=st.just("") | st.just("") | TEXTS)
async def test_no_text_reaches_the_headers(
    email: EmailChannel, inbox: Inbox, letter: Letters, subject: str, text: str, to: str
) -> None:
    """Whatever a letter says, and to whom: it has the headers that it should have, and one recipient."""
    inbox.postbox.mails.clear()
    to = f"ann@example.org{to}"

    answer = await email.send(
        letter(to, content={"subject": subject, "text": text, "html": f"<p>{text}</p>"})
    )

    if answer == Refused("invalid"):
        assert inbox.postbox.mails == []
        return
    [mail] = inbox.postbox.mails
    assert isinstance(answer, Sent)
    assert sorted(mail.message.keys()) == HEADERS
    assert [each.casefold() for each in mail.recipients] == [to.encode("idna").decode().casefold()]
    assert "".join(mail.message["Subject"].split()) == "".join(subject.split())
