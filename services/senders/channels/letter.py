"""An e-mail as bytes: headers that cannot be injected into, a text part, and an HTML part beside it."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from uuid import UUID

from services.senders.domain.sending import EmailContent
from shared import ids
from shared.events import Lane

# Nothing in a part may need a server that takes eight bits.
_POLICY = policy.SMTP.clone(cte_type="7bit")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r"[!-~](?:[ -~]{0,64}[!-~])?")
_LINK = re.compile(r"https?://[!-;=?-~]{1,900}")


@dataclass(frozen=True)
class Letter:
    """What goes over the line: the envelope's two addresses, and the message with CRLF line ends."""

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    message_id: str
    raw: bytes = field(repr=False)


def mailbox(address: str) -> str:
    """Return an address with its domain as DNS spells it; raises ValueError for what is none.

    Local parts outside ASCII are refused: few servers take them (SMTPUTF8).
    """
    local, _, domain = address.rpartition("@")
    spelled = f"{local}@{domain.encode('idna').decode()}"
    if not _ADDRESS.fullmatch(spelled):
        raise ValueError("not an e-mail address")
    return spelled


def sender_of(text: str) -> Address:
    """Return the sender written as `Name <local@domain>`; raises ValueError for what is none."""
    name, address = parseaddr(text)
    if _CONTROL.search(text) or "=?" in text:
        raise ValueError("a sender has no line breaks, and is not encoded")
    return Address(name, addr_spec=mailbox(address))


def write(
    content: EmailContent, *, sender: Address, to: str, delivery_id: UUID, lane: Lane, at: datetime
) -> Letter:
    """Return the letter of a delivery, the same at every attempt but for its Date.

    Raises ValueError for an address, a subject or a link that no header may hold.
    """
    if _CONTROL.search(content.subject):
        raise ValueError("a subject has no line breaks")
    recipient = mailbox(to)
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = Address(addr_spec=recipient)
    message["Date"] = at
    message["Message-ID"] = message_id = f"<{ids.to_short(delivery_id)}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text)
    if content.html is not None:
        message.add_alternative(content.html, subtype="html")
    raw = _subject(content.subject) + _unsubscribe(content, lane) + message.as_bytes()
    return Letter(sender.addr_spec, recipient, message_id, raw)


def _subject(text: str) -> bytes:
    """Return the subject's header.

    It is written by hand: Python would take what looks like an encoded word for one, and write what that
    hides, line breaks too.
    """
    if _PLAIN.fullmatch(text) and "=?" not in text:
        return f"Subject: {text}\r\n".encode()
    encoded = Header(text, "utf-8", header_name="Subject").encode(linesep="\r\n")
    return f"Subject: {encoded}\r\n".encode()


def _unsubscribe(content: EmailContent, lane: Lane) -> bytes:
    """Return the one-click headers (RFC 8058) of a campaign's letter.

    They are written by hand: Python would break a long link up into encoded words, which nobody follows.
    """
    if lane is not Lane.CAMPAIGN or content.unsubscribe_url is None:
        return b""
    if not _LINK.fullmatch(content.unsubscribe_url):
        raise ValueError("not a link to unsubscribe by")
    return (
        f"List-Unsubscribe: <{content.unsubscribe_url}>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    ).encode()
