"""What lies in the streams of what is wanted: found by the headers, read where the payload says more."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from carillon.why.steps import Step
from carillon.why.wanted import Wanted
from shared.bus import Stored, Streams
from shared.bus.dead_letters import ATTEMPTS, DURABLE, ERROR, REASON
from shared.events import ButtonClicked, ClickAnnotated, MessageRequested, UpdateReceived

STREAMS = (
    "PROMOS", "CLICKS", "TRANSACTIONAL", "CAMPAIGN", "OUTCOMES", "UPDATES", "DLQ", "DISCARDED",
)  # fmt: skip
CAUSES = {UpdateReceived.name, ButtonClicked.name}
PUBLISHERS: Mapping[str, str] = {
    "update.received": "gateway", "click.pressed": "gateway", "click.annotated": "clicks",
    "promo.due": "scheduler", "promo.slot_skipped": "scheduler", "promo.cancelled": "scheduler",
}  # fmt: skip
NEIGHBOURS = 200
"""Messages so near to each other are read together: asking once more costs as much as reading these."""
Place = tuple[str, int]
"""A stream, and a sequence in it."""
SAID = ("reason", "bot", "chat_id", "attempt", "channel", "lane", "source", "provider_message_id")


class Headers:
    """What lies in the streams, by what its headers say: each message is looked at once, up to a cut."""

    def __init__(self, streams: Streams, cut: Mapping[str, int]) -> None:
        self._streams = streams
        self._cut = cut
        self._read_from = {stream: cut[stream] + 1 for stream in STREAMS}
        self._by_id: defaultdict[UUID, list[Place]] = defaultdict(list)
        self._causes: defaultdict[str, list[Place]] = defaultdict(list)
        self._requests: defaultdict[str, list[Place]] = defaultdict(list)
        self._told: set[Place] = set()

    async def reach(self, since: datetime | None) -> None:
        """Look at everything that was stored since a time, or ever."""
        for stream in STREAMS:
            first = 1 if since is None else await self._streams.first_since(stream, since)
            last = self._read_from[stream] - 1
            if first > last:
                continue
            async for stored in self._streams.read(stream, ">", since=first, up_to=last, headers_only=True):
                self._note(stream, stored)
            self._read_from[stream] = first

    async def told(self, wanted: Wanted) -> AsyncIterator[Step]:
        """Yield the events that are wanted; what they name is wanted from then on."""
        while new := self._places(wanted) - self._told:
            self._told |= new
            for stream, first, last in _runs(new):
                async for stored in self._streams.read(stream, ">", since=first, up_to=last):
                    if (stream, stored.sequence) in new:
                        yield _step(stream, stored, _said(stored.payload), wanted)

    def _note(self, stream: str, stored: Stored) -> None:
        place = stream, stored.sequence
        if (event_id := _id(stored.event_key)) is not None:
            self._by_id[event_id].append(place)
        if stored.event in CAUSES and (trace_id := stored.trace_id):
            self._causes[trace_id].append(place)
        elif stored.event == MessageRequested.name and (trace_id := stored.trace_id):
            self._requests[trace_id].append(place)

    def _places(self, wanted: Wanted) -> set[Place]:
        """Return where the parts of the story lie: by their ids, or as cause or effect in their trace."""
        found = {place for event_id in wanted.events for place in self._by_id.get(event_id, ())}
        for trace_id in wanted.traces:
            found.update(self._causes.get(trace_id, ()))
            if wanted.forwards:
                found.update(self._requests.get(trace_id, ()))
        if wanted.letter is not None and wanted.letter <= self._cut["DLQ"]:
            found.add(("DLQ", wanted.letter))
        return found


def _runs(places: set[Place]) -> list[tuple[str, int, int]]:
    """Return what is to be read for these places: neighbours at once, with what lies between them."""
    runs: list[tuple[str, int, int]] = []
    for stream, sequence in sorted(places):
        if runs and runs[-1][0] == stream and sequence - runs[-1][2] <= NEIGHBOURS:
            runs[-1] = (stream, runs[-1][1], sequence)
        else:
            runs.append((stream, sequence, sequence))
    return runs


def _step(stream: str, stored: Stored, said: Mapping[str, Any], wanted: Wanted) -> Step:
    event_id = _id(stored.event_key)
    if event_id is not None:
        wanted.events.add(event_id)
    if stored.trace_id and (stored.event in CAUSES or stream == "DLQ"):
        wanted.traces.add(stored.trace_id)
    details: dict[str, Any] = {"stream": f"{stream}:{stored.sequence}"}
    if stream in ("DLQ", "DISCARDED"):
        headers = stored.headers
        what = "dead letter" if stream == "DLQ" else "dead letter discarded"
        details |= {
            "event": stored.event, "durable": headers.get(DURABLE), "reason": headers.get(REASON),
            "error": headers.get(ERROR), "tries": headers.get(ATTEMPTS),
        }  # fmt: skip
        service = (headers.get(DURABLE) or "?").partition("_")[0]
        _follow(stored.event, said, event_id, wanted)
        return Step(
            f"{stream} {stored.sequence}", stored.at, service, what, f"event {stored.event_key}",
            trace_id=stored.trace_id, details=details,
        )  # fmt: skip
    details |= {name: said[name] for name in SAID if said.get(name) is not None}
    if stored.replay:
        details["replay"] = stored.replay
    service = PUBLISHERS.get(stored.event, "senders" if stream == "OUTCOMES" else "requester")
    key = f"event {stored.event_key}" + (f"~{stored.replay}" if stored.replay else "")
    return Step(
        key, stored.at, service, stored.event or "unknown", _follow(stored.event, said, event_id, wanted),
        attempt=said.get("attempt"), trace_id=stored.trace_id, details=details,
    )  # fmt: skip


def _follow(event: str, said: Mapping[str, Any], event_id: UUID | None, wanted: Wanted) -> str | None:
    """Want what an event names, and return the key of what it followed from."""
    delivery_id = _id(said.get("delivery_id"))
    if event in CAUSES:
        if isinstance(said.get("bot_id"), int) and isinstance(said.get("update_id"), int):
            wanted.add_update(said["bot_id"], said["update_id"])
            return f"update {said['bot_id']}:{said['update_id']}"
        return None
    if event == ClickAnnotated.name:
        return f"event {said.get('click_id')}"
    if delivery_id is not None:
        if (message_id := _id(said.get("message_id"))) is not None:
            wanted.add_message(message_id)
        wanted.add_attempts(delivery_id, int(said.get("attempt") or 0))
        return f"delivery {delivery_id}"
    if event_id is not None and event in (MessageRequested.name, "promo.due"):
        wanted.add_message(event_id)
    if event == "promo.due" and wanted.slot is not None:
        return f"slot {wanted.slot[0]}@{wanted.slot[1].isoformat()}"
    return None


def _said(payload: bytes | None) -> Mapping[str, Any]:
    try:
        said = orjson.loads(payload or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _id(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
