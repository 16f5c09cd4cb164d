"""What lies in the streams of what is wanted: found by the headers, read where the payload says more."""

from collections.abc import AsyncIterator, Mapping
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
SAID = ("reason", "bot", "chat_id", "attempt", "channel", "lane", "source", "provider_message_id")


async def of_streams(streams: Streams, wanted: Wanted, cut: Mapping[str, int]) -> AsyncIterator[Step]:
    """Yield the events that are wanted, up to the cut; what they name is wanted from then on."""
    for stream in STREAMS:
        async for stored in streams.read(stream, ">", up_to=cut[stream], headers_only=True):
            if is_wanted(stored, wanted, stream):
                yield _step(stream, stored, _said(await streams.payload(stream, stored.sequence)), wanted)


def is_wanted(stored: Stored, wanted: Wanted, stream: str) -> bool:
    """Say whether a message is part of the story: by its id, or as cause or effect in the same trace."""
    if stream == "DLQ" and stored.sequence == wanted.letter:
        return True
    if _id(stored.event_key) in wanted.events:
        return True
    if stored.trace_id is None or stored.trace_id not in wanted.traces:
        return False
    return stored.event in CAUSES or (wanted.forwards and stored.event == MessageRequested.name)


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
