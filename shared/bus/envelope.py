"""How an event lies in a NATS message: JSON in the body, its name, id and trace in the headers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from nats.aio.msg import Msg

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


def _fields(value: object) -> dict[str, Any]:
    if isinstance(value, Value):
        return value.__dict__
    raise TypeError(f"a {type(value).__name__} is no part of an event")


@dataclass(slots=True, eq=False)
class Arrived:
    """A message as the broker delivered it, with what its reply subject says of it.

    Not frozen: there is one for every event, and freezing doubles the time that it takes to make.
    """

    message: Msg
    headers: dict[str, Any]
    deliveries: int
    sequence: int
    stream: str
    number: int = 0
    """How many messages the consumer had sent when it sent this one."""

    @classmethod
    def read(cls, message: Msg) -> "Arrived":
        """Read the metadata of a delivered message."""
        # $JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.…; the client's own reading makes five
        # objects of it, for every event.
        words = message.reply.split(".")
        at = 2 if len(words) == WORDS_WITHOUT_DOMAIN else 4
        stream, deliveries, sequence, number = words[at], *map(int, words[at + 2 : at + 5])
        return cls(message, message.headers or {}, deliveries, sequence, stream, number)

    @property
    def published_at(self) -> datetime:
        """When the broker stored the message."""
        return self.message.metadata.timestamp.astimezone(UTC)

    @property
    def replay(self) -> int:
        """How often the event has been replayed."""
        text = self.headers.get(REPLAY, "0")
        return int(text) if text.isdecimal() else 0

    @property
    def event_key(self) -> str:
        """The event's id where the headers tell it, else where the message lies."""
        return self.headers.get(EVENT_ID) or self.headers.get(MSG_ID) or f"{self.stream}:{self.sequence}"

    @property
    def attempt_key(self) -> str:
        """The key in the record of attempts: a replay starts counting anew."""
        return f"{self.event_key}~{self.replay}"
