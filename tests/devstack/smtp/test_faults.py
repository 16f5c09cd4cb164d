"""The inbox's faults: each stage, each kind, as an SMTP client sees them."""

import asyncio
import smtplib
import time
from collections.abc import AsyncIterator
from email.message import EmailMessage

import aiohttp
import pytest

from devstack.smtp import Inbox


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """Open an inbox that wants to know who is writing."""
    async with Inbox.open(username="u", password="p") as opened:
        yield opened


async def post(inbox: Inbox, to: str = "ann@example.org") -> str:
    """Send a mail with smtplib and say how far it came."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "carillon@example.org", to, "Hello"
    message.set_content("hello")

    def talk() -> str:
        stage = "connect"
        try:
            client = smtplib.SMTP(inbox.host, inbox.port, timeout=5)
            stage = "auth"
            client.login("u", "p")
            stage = "send"
            client.send_message(message)
            stage = "quit"
            client.quit()
        except smtplib.SMTPRecipientsRefused as error:
            return f"rcpt {error.recipients[to][0]}"
        except smtplib.SMTPResponseException as error:
            return f"{stage} {error.smtp_code}"
        except smtplib.SMTPServerDisconnected:
            return f"{stage} dropped"
        finally:
            if stage != "connect":
                client.close()
        return "sent"

    return await asyncio.to_thread(talk)


@pytest.mark.parametrize(
    ("stage", "seen"),
    [
        ("connect", "connect 454"),
        ("auth", "auth 454"),
        ("mail", "send 454"),
        ("rcpt", "rcpt 454"),
        ("data_before", "send 454"),
        ("data_after", "send 454"),
    ],
)
async def test_a_reply_is_given_at_its_stage_and_nothing_is_taken(
    inbox: Inbox, http: aiohttp.ClientSession, stage: str, seen: str
) -> None:
    """A reply fault refuses at its stage, once, and no mail is recorded; the next attempt goes through."""
    # smtplib tries a second way to log in when the first is refused.
    times = 2 if stage == "auth" else 1
    fault = {"stage": stage, "kind": "reply", "code": 454, "text": "not now", "times": times}
    assert (await http.post(f"{inbox.control_url}/faults", json=fault)).status == 200
    assert await post(inbox) == seen
    assert inbox.postbox.mails == []
    assert await post(inbox) == "sent"
    assert inbox.postbox.counts()["faults"] == times


@pytest.mark.parametrize(
    ("stage", "seen", "taken"),
    [
        ("connect", "connect dropped", 0),
        ("auth", "auth dropped", 0),
        ("mail", "send dropped", 0),
        ("rcpt", "send dropped", 0),
        ("data_before", "send dropped", 0),
        ("data_after", "send dropped", 1),
        ("quit", "quit dropped", 1),
    ],
)
async def test_a_connection_drops_at_its_stage(
    inbox: Inbox, http: aiohttp.ClientSession, stage: str, seen: str, taken: int
) -> None:
    """A dropped connection loses the mail before the end of DATA, and only the reply after it."""
    await http.post(f"{inbox.control_url}/faults", json={"stage": stage, "kind": "close"})
    assert await post(inbox) == seen
    assert len(inbox.postbox.mails) == taken


async def test_slowness_delays_and_changes_nothing(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """A slow stage answers after the seconds asked for; the mail is recorded before the wait."""
    await http.post(f"{inbox.control_url}/faults", json={"stage": "data_after", "kind": "slow", "seconds": 3})
    before = time.monotonic()
    sending = asyncio.create_task(post(inbox))
    while not inbox.postbox.mails:
        await asyncio.sleep(0.01)
    assert not sending.done()
    assert await sending == "sent"
    assert time.monotonic() - before >= 3


async def test_a_fault_can_be_for_one_address_and_many_times(
    inbox: Inbox, http: aiohttp.ClientSession
) -> None:
    """A fault for an address spares the others, and happens as often as it was asked for."""
    fault = {"stage": "rcpt", "kind": "reply", "code": 550, "address": "Bad@example.org", "times": 2}
    await http.post(f"{inbox.control_url}/faults", json=fault)
    seen = [await post(inbox, to) for to in ("ann@example.org", *["bad@example.org"] * 3)]
    assert seen == ["sent", "rcpt 550", "rcpt 550", "sent"]


async def test_faults_can_be_withdrawn(inbox: Inbox, http: aiohttp.ClientSession) -> None:
    """A fault without an end lasts until DELETE; what is in force can be listed."""
    fault = {"stage": "mail", "kind": "reply", "code": 421, "times": None}
    await http.post(f"{inbox.control_url}/faults", json=fault)
    assert [await post(inbox) for _ in range(3)] == ["send 421"] * 3
    [listed] = (await (await http.get(f"{inbox.control_url}/faults")).json())["faults"]
    assert (listed["stage"], listed["times"]) == ("mail", None)
    await http.delete(f"{inbox.control_url}/faults")
    assert await post(inbox) == "sent"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"stage": "lunch", "kind": "close"}, "stage"),
        ({"stage": "mail", "kind": "reply"}, "code"),
        ({"stage": "mail", "kind": "slow"}, "seconds"),
        ({"stage": "mail", "kind": "close", "code": 450}, "code"),
        ({"stage": "mail", "kind": "close", "address": "a@example.org"}, "address"),
        ({"stage": "mail", "kind": "reply", "code": 450, "text": "two\r\nlines"}, "text"),
        ({"stage": "mail", "kind": "close", "tims": 3}, "tims"),
    ],
)
async def test_a_senseless_fault_is_refused(
    inbox: Inbox, http: aiohttp.ClientSession, fault: dict[str, object], said: str
) -> None:
    """What cannot happen is refused with 400, naming what is wrong, and no fault is in force."""
    answer = await http.post(f"{inbox.control_url}/faults", json=fault)
    assert answer.status == 400
    assert said in (await answer.json())["error"]
    assert await post(inbox) == "sent"
