"""An e-mail as bytes: headers that cannot be injected into, a text part, and an HTML part beside it."""

import re
from binascii import b2a_qp
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from uuid import UUID

from services.senders.domain.sending import EmailContent
from shared import ids
from shared.events import Lane

# Nothing in a part may need a server that takes eight bits.
_POLICY = policy.SMTP.clone(cte_type="7bit")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_ENCODING = "Content-Transfer-Encoding: quoted-printable"
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
    name = ids.to_short(delivery_id)
    message_id = f"<{name}@{sender.domain}>"
    head = [
        _unsubscribe(content, lane),
        _from(str(sender)),
        f"To: {recipient}\r\n".encode(),
        _subject(content.subject),
        f"Date: {format_datetime(at)}\r\nMessage-ID: {message_id}\r\n".encode(),
        b"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n",
    ]
    return Letter(sender.addr_spec, recipient, message_id, b"".join([*head, _body(content, name)]))


@lru_cache(maxsize=32)
def _from(sender: str) -> bytes:
    """Return a sender's header, as Python's own package writes it."""
    folded: bytes = _POLICY.fold_binary(*_POLICY.header_store_parse("From", sender))
    return folded


def _body(content: EmailContent, name: str) -> bytes:
    """Return the headers of the content, and the content: one part, or two of which the reader shows one.

    Python's package takes milliseconds for it.
    """
    text = _part("plain", content.text)
    if content.html is None:
        return text
    # An encoded text has no equals sign before an underscore.
    edge = f"--=_{name}".encode()
    return b"".join((
        b'Content-Type: multipart/alternative; boundary="', edge[2:], b'"\r\n\r\n',
        edge, b"\r\n", text, b"\r\n", edge, b"\r\n", _part("html", content.html), b"\r\n", edge, b"--\r\n",
    ))  # fmt: skip


def _part(subtype: str, text: str) -> bytes:
    lines = text.encode().splitlines()
    encoded = b2a_qp(b"\n".join([*lines, b""]), istext=True).replace(b"\n", b"\r\n")
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\n{_ENCODING}\r\n\r\n'
    return head.encode() + encoded


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
