"""Plain requests to the webhook: those that can be read in one way only, as Telegram sends them.

Whatever is unusual, and everything that is for somebody else, is none, and is left to aiohttp: nothing is
refused here.
"""

import re
from dataclasses import dataclass, field

MOST_BEGUN = 8192
"""Bytes of a head after which no more of it are waited for."""
_HEAD = re.compile(
    rb"POST /telegram/([A-Za-z0-9_-]{1,64})/webhook HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]{1,64}:[\t\x20-\x7e]{0,4096}\r\n){1,64})\r\n"
)
_START = b"POST /telegram/"
_LENGTH = re.compile(rb"[0-9]{1,9}")
_JSON = re.compile(rb"application/json(?:; ?charset=utf-8)?", re.IGNORECASE)
_FOREIGN = frozenset({
    b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"trailer", b"te", b"http2-settings",
})  # fmt: skip
"""What would have the body, or the connection, be something else than it seems."""
_TRACE = (b"traceparent", b"tracestate")


@dataclass(slots=True)
class Head:
    """The head of a plain request; names of headers are in lower case, and there is one of each."""

    bot: str
    headers: dict[bytes, bytes] = field(repr=False)
    size: int
    length: int

    def trace(self) -> dict[str, str]:
        """Return the headers that carry a trace."""
        return {name.decode(): self.headers[name].decode() for name in _TRACE if name in self.headers}


def is_begun(data: bytes | bytearray) -> bool:
    """Say whether data is the beginning of a head that may turn out to be plain when it is whole."""
    is_whole = b"\r\n\r\n" in data or b"\n\n" in data
    return len(data) < MOST_BEGUN and data.startswith(_START[: len(data)]) and not is_whole


def read_head(data: bytes | bytearray, largest: int) -> Head | None:
    """Return the head that data begins with, if it is whole and plain, of a body no larger than that."""
    found = _HEAD.match(data)
    if found is None:
        return None
    headers: dict[bytes, bytes] = {}
    for line in found[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in headers or name in _FOREIGN:
            return None
        headers[name] = value.strip(b" \t")
    length = headers.get(b"content-length", b"")
    is_plain = (
        _LENGTH.fullmatch(length)
        and int(length) <= largest
        and _JSON.fullmatch(headers.get(b"content-type", b""))
        and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and headers.get(b"host")
    )
    return Head(found[1].decode(), headers, found.end(), int(length)) if is_plain else None
