"""Cursors: where a list that is read newest first goes on."""

import base64
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = struct.Struct(">q16s")


def to_cursor(at: datetime, key: UUID) -> str:
    """Write the place behind the row of that time and key, as 32 characters of base64url."""
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_PLACE.pack(microseconds, key.bytes)).decode()


def from_cursor(text: str) -> tuple[datetime, UUID]:
    """Read what `to_cursor` wrote; raises ValueError for anything else."""
    try:
        microseconds, key = _PLACE.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
        return _EPOCH + timedelta(microseconds=microseconds), UUID(bytes=key)
    except (ValueError, struct.error, OverflowError):
        raise ValueError("a cursor is what the page before gave") from None
