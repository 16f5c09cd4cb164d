"""How an event lies in a NATS message: JSON in the body, its name, id and trace in the headers."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter

from shared import telemetry
from shared.events import ALL, Event, Value

MSG_ID = "Nats-Msg-Id"
EVENT = "Carillon-Event"
EVENT_ID = "Carillon-Event-Id"
REPLAY = "Carillon-Replay"

HEADROOM_BYTES = 8 * 1024
"""Room that an event leaves below the broker's max_payload for the headers of a dead letter."""

WORDS_WITHOUT_DOMAIN = 9
"""Words of an acknowledgement's subject from a broker that knows no domains."""
WORDS_OF_DOMAIN = 2
"""Words that there are more, in front, from one that does."""
STREAM, DELIVERIES, SEQUENCE, NUMBER, TIMESTAMP = 2, 4, 5, 6, 7
"""Where they stand in such a subject."""

LONGEST_NUMBER = 10

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_END = b"\r\n"
_EVENT_LINE = _END + EVENT.encode() + b":"

BY_NAME: dict[str, type[Event]] = {event_class.name: event_class for event_class in ALL}


def encode(event: Event) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an event."""
    event_id = str(event.id)
    headers = {MSG_ID: event_id, EVENT: event.name, EVENT_ID: event_id, **telemetry.inject()}
    return written(event), headers


def written(event: Event) -> bytes:
    """Return an event as JSON: what pydantic writes, in half its time."""
    try:
        return orjson.dumps(event.__dict__, default=_fields, option=orjson.OPT_UTC_Z)
    except TypeError:
        # Integers beyond 64 bits are JSON too.
        return event.model_dump_json().encode()


@cache
def reader(event_class: type[Event]) -> Callable[[bytes], Event]:
    """Return what reads an event of a class from JSON, or raises pydantic's ValidationError."""
    return TypeAdapter(event_class).validator.validate_json


def _fields(value: object) -> dict[str, Any]:
    if isinstance(value, Value):
        return value.__dict__
    raise TypeError(f"a {type(value).__name__} is no part of an event")


class Arrived:
    """A message as the broker delivered it, with what its reply subject says of it.

    There is one for every event: what is seldom asked of it is read when it is asked.
    """

    __slots__ = (
        "_headers", "_lines", "_subject", "data", "decoded", "deliveries", "number", "reply", "sequence",
    )  # fmt: skip

    def __init__(self, subject: bytes, reply: bytes, data: bytes, lines: bytes | None) -> None:
        """Take a message apart; `lines` are its headers as they came, with the line before them."""
        self._subject = subject
        self.reply = reply.decode()
        self.data = data
        self.decoded: Event | None = None
        """The event, once it has been read."""
        self._lines = lines or b""
        self._headers: dict[str, str] | None = None
        words = _words(self.reply)
        self.deliveries = int(words[DELIVERIES])
        self.sequence = int(words[SEQUENCE])
        self.number = int(words[NUMBER])
        """How many messages the consumer had sent when it sent this one."""

    @property
    def subject(self) -> str:
        """The subject that it was published to."""
        return self._subject.decode("utf-8", "replace")

    @property
    def stream(self) -> str:
        """The stream that it lies in."""
        return _words(self.reply)[STREAM]

    @property
    def published_at(self) -> datetime:
        """When the broker stored the message."""
        return datetime.fromtimestamp(int(_words(self.reply)[TIMESTAMP]) / 1e9, UTC)

    @property
    def event(self) -> str:
        """The event's name on the wire; empty where its headers do not tell."""
        _, found, rest = self._lines.rpartition(_EVENT_LINE)
        return _text(rest.partition(_END)[0]) if found else ""

    @property
    def headers(self) -> dict[str, str]:
        """Its headers; of one that is there several times, the last, and none that could not be published."""
        if self._headers is None:
            lines = (line.partition(b":") for line in self._lines.split(_END)[1:])
            named = ((name.strip(), value) for name, found, value in lines if found)
            self._headers = {name.decode(): _text(value) for name, value in named if _NAME.fullmatch(name)}
        return self._headers

    @property
    def replay(self) -> int:
        """How often the event has been replayed."""
        text = self.headers.get(REPLAY, "0")
        return int(text) if text.isdecimal() and len(text) < LONGEST_NUMBER else 0

    @property
    def event_key(self) -> str:
        """The event's id where the headers tell it, else where the message lies."""
        return self.headers.get(EVENT_ID) or self.headers.get(MSG_ID) or f"{self.stream}:{self.sequence}"

    @property
    def attempt_key(self) -> str:
        """The key in the record of attempts: a replay starts counting anew."""
        return f"{self.event_key}~{self.replay}"


def _words(reply: str) -> list[str]:
    """Return the words of `$JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.number.time.…`."""
    words = reply.split(".")
    return words if len(words) == WORDS_WITHOUT_DOMAIN else words[WORDS_OF_DOMAIN:]


def _text(found: bytes) -> str:
    return found.strip().decode("utf-8", "replace")
