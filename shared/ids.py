"""Ids that are derived from what they name, so that saying a thing twice says it once."""

import base64
import re
from binascii import a2b_base64
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from uuid import UUID

_SHORT = re.compile("[A-Za-z0-9_-]{21}[AQgw]")
"""16 bytes have one spelling only: the last character stands for two bits and four zeros."""
_STANDARD = str.maketrans("-_", "+/")
_NAMESPACE = UUID("6f1e7a52-0c5e-5f7b-9f0d-2f6d1c0ca411").bytes


def derived(kind: str, *parts: object) -> UUID:
    """Return the uuid5 of a natural key; date-times count by their instant, not by their time zone."""
    words = [part.astimezone(UTC).isoformat() if isinstance(part, datetime) else str(part) for part in parts]
    return _uuid5("\x1f".join([kind, *words]))


@lru_cache(maxsize=8192)
def user_of_telegram(telegram_id: int) -> UUID:
    """Return Carillon's user id for somebody met through a bot: uuid5 of `telegram:<id>`."""
    return _uuid5(f"telegram:{telegram_id}")


def owner_of(chat_id: int | None) -> UUID | None:
    """Return the user id of whom a chat at Telegram is, a private one; None of a group."""
    return user_of_telegram(chat_id) if chat_id is not None and chat_id > 0 else None


def delivery_of(message_id: UUID, channel: str) -> UUID:
    """Return the id of the one delivery of a message over a channel."""
    return derived("delivery", message_id, channel)


def to_short(value: UUID) -> str:
    """Write an id as 22 characters of base64url, as callback data carries it."""
    return base64.urlsafe_b64encode(value.bytes).rstrip(b"=").decode()


def from_short(text: str) -> UUID:
    """Read what `to_short` wrote; raises ValueError for anything else."""
    if not _SHORT.fullmatch(text):
        raise ValueError("a short id has 22 characters of base64url, the last of which ends in four zeros")
    return UUID(bytes=a2b_base64(text.translate(_STANDARD) + "=="))


def _uuid5(name: str) -> UUID:
    """Return the uuid5 of a name, as `uuid.uuid5` does, in half its time: every press needs several."""
    return UUID(bytes=sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16], version=5)
