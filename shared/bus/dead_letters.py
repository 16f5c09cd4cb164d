"""Dead letters: what could not be handled, with everything needed to understand it and to try it again.

The stream DLQ holds the open ones: replaying or discarding a letter removes it. A letter lies under
`dlq.<durable>` with the original payload, byte for byte, and the original headers. The stream DISCARDED keeps
those that somebody gave up, so that an audit can account for them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import nats.js.errors
import orjson
from nats.aio.client import Client
from nats.js.api import RawStreamMsg

from shared import telemetry
from shared.bus.envelope import EVENT, EVENT_ID, MSG_ID, REPLAY, Arrived
from shared.bus.errors import TooLarge
from shared.bus.publishing import Publisher
from shared.bus.reaching import reaching

STREAM = "DLQ"
NO_MESSAGE = 10043
REASON = "Carillon-Reason"
ERROR = "Carillon-Error"
DURABLE = "Carillon-Durable"
SUBJECT = "Carillon-Subject"
ORIGIN = "Carillon-Origin"
ATTEMPTS = "Carillon-Attempts"
BODY_LEFT = "Carillon-Body-Left-Behind"
"""Set when the payload was too large to copy: it is read from the original stream."""


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter. `number` is its sequence in the DLQ stream; `replay` how often it lived before."""

    number: int
    durable: str
    subject: str
    event: str
    event_key: str
    reason: str
    error: str
    attempts: int
    replay: int
    origin: str
    payload: bytes
    trace_id: str | None
    died_at: datetime | None
    erased: bool = False
    """Its payload was left in its own stream, and is not there any more: there is nothing to replay."""

    @property
    def event_id(self) -> UUID | None:
        """The id of the event, where its headers told it."""
        try:
            return UUID(self.event_key)
        except ValueError:
            return None

    def said(self) -> Any:
        """Return the payload: its JSON, or text where it is none."""
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError:
            return self.payload.decode("utf-8", "backslashreplace")

    def has_expired(self, now: datetime) -> bool:
        """Say whether what it asks for is past its deadline: replayed, it ends as suppressed."""
        said = self.said()
        if not isinstance(said, dict):
            return False
        try:
            until = datetime.fromisoformat(str(said.get("expires_at") or said.get("until")))
        except ValueError:
            return False
        return until.tzinfo is not None and until < now

    @classmethod
    def read(
        cls, number: int, message: Arrived | RawStreamMsg, died_at: datetime | None = None
    ) -> "DeadLetter":
        """Read a message of the DLQ stream."""
        headers = message.headers or {}
        traceparent = headers.get("traceparent", "")
        return cls(
            number=number,
            durable=headers.get(DURABLE, ""),
            subject=headers.get(SUBJECT, ""),
            event=headers.get(EVENT, ""),
            event_key=headers.get(EVENT_ID, ""),
            reason=headers.get(REASON, ""),
            error=headers.get(ERROR, ""),
            attempts=_number(headers.get(ATTEMPTS)),
            replay=_number(headers.get(REPLAY)),
            origin=headers.get(ORIGIN, ""),
            payload=message.data or b"",
            trace_id=traceparent.split("-")[1] if traceparent.count("-") == 3 else None,
            died_at=died_at,
        )


class DeadLetters:
    """Buries, lists, replays and discards dead letters."""

    def __init__(self, client: Client, publisher: Publisher) -> None:
        self._client = client
        self._stream = client.jetstream()
        self._publisher = publisher

    async def bury(self, durable: str, arrived: Arrived, reason: str, error: str, attempts: int) -> None:
        """Store a message as a dead letter; once per durable, event and replay, however often it is called.

        Raises BusUnavailable: then the message must not be acked.
        """
        headers = {
            **{name: value for name, value in arrived.headers.items() if not name.startswith("Nats-")},
            **telemetry.inject(),
            MSG_ID: f"dlq:{durable}:{arrived.event_key}~{arrived.replay}",
            EVENT_ID: arrived.event_key,
            REPLAY: str(arrived.replay),
            DURABLE: durable,
            SUBJECT: arrived.subject,
            ORIGIN: f"{arrived.stream}:{arrived.sequence}",
            REASON: reason,
            ERROR: error.encode("ascii", "replace").decode()[:500].replace("\n", " ").replace("\r", " "),
            ATTEMPTS: str(attempts),
        }
        subject = f"dlq.{durable}"
        try:
            await self._publisher.publish(subject, arrived.data, headers)
        except TooLarge:
            await self._publisher.publish(subject, b"", {**headers, BODY_LEFT: "1"})

    async def all(self, after: int = 0, up_to: int | None = None) -> AsyncIterator[DeadLetter]:
        """Yield the open dead letters behind a number and up to another, oldest first.

        Without `up_to` they are those that there are now: what is replayed meanwhile and dies again is none
        of them. Like everything here it raises BusUnavailable when the broker does not answer.
        """
        if up_to is None:
            up_to = await self.last()
        number = after + 1
        while number <= up_to:
            message = await self._message(STREAM, seq=number, subject="dlq.>", next=True)
            if message is None or (message.seq or 0) > up_to:
                return
            yield await self._read(message)
            number = (message.seq or number) + 1

    async def last(self) -> int:
        """Return the number of the newest dead letter that there has been."""
        with reaching():
            return (await self._stream.stream_info(STREAM)).state.last_seq

    async def count(self) -> int:
        """Return how many open dead letters there are."""
        with reaching():
            return (await self._stream.stream_info(STREAM)).state.messages

    async def get(self, number: int) -> DeadLetter | None:
        """Return one dead letter, or None when it is not there (any more)."""
        message = await self._message(STREAM, seq=number)
        return None if message is None else await self._read(message)

    async def replay(self, letter: DeadLetter) -> None:
        """Publish the event again under its own id, and remove the letter.

        A crash in between repeats harmlessly: the message id `<event id>~r<n>` is the same again.
        """
        number = letter.replay + 1
        headers = {EVENT_ID: letter.event_key, REPLAY: str(number), MSG_ID: f"{letter.event_key}~r{number}"}
        if letter.event:
            headers[EVENT] = letter.event
        with telemetry.span("replay dead letter", durable=letter.durable):
            await self._publisher.publish(letter.subject, letter.payload, headers | telemetry.inject())
        await self._remove(letter)

    async def discard(self, letter: DeadLetter) -> None:
        """Give a letter up for good, and write down that it was; twice is once."""
        headers = {
            MSG_ID: f"discarded:{letter.durable}:{letter.event_key}~{letter.replay}",
            EVENT_ID: letter.event_key,
            REPLAY: str(letter.replay),
            DURABLE: letter.durable,
            REASON: letter.reason,
            ORIGIN: letter.origin,
        }
        subject = f"discarded.{letter.durable}"
        try:
            await self._publisher.publish(subject, letter.payload, headers)
        except TooLarge:
            await self._publisher.publish(subject, b"", headers)
        await self._remove(letter)

    async def _remove(self, letter: DeadLetter) -> None:
        try:
            with reaching():
                await self._stream.delete_msg(STREAM, letter.number)
        except nats.js.errors.NotFoundError:
            return
        except nats.js.errors.APIError as error:
            if error.err_code != NO_MESSAGE:
                raise

    async def _message(self, stream: str, **which: Any) -> RawStreamMsg | None:
        try:
            with reaching():
                return await self._stream.get_msg(stream, **which)
        except nats.js.errors.NotFoundError:
            return None

    async def _read(self, message: RawStreamMsg) -> DeadLetter:
        letter = DeadLetter.read(message.seq or 0, message, _utc(message.time))
        if BODY_LEFT not in (message.headers or {}):
            return letter
        stream, _, sequence = letter.origin.partition(":")
        original = await self._message(stream, seq=int(sequence))
        if original is None:
            return replace(letter, erased=True)
        return replace(letter, payload=original.data or b"")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _utc(moment: datetime | str | None) -> datetime | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.astimezone(UTC) if moment else None
