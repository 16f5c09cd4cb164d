"""Messages over the API: accepted at the door, and looked up later."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from pydantic import ValidationError

from services.gateway.api.answers import Accepted, AcceptedMessages
from services.gateway.api.asking import Call, answer
from services.gateway.api.content import content_errors
from services.gateway.api.problems import errors_of, invalid
from services.gateway.api.repeating import Publish, answered_once
from services.gateway.api.requests import MOST_MESSAGES, MessageIn, MessagesIn
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared import ids, metrics
from shared.events import DEFAULT_CHAIN, Lane, MessageRequested, State
from shared.queries import CancelMessage, DoubtPage, GetMessage, ListMessages, MessageCancelled, MessageView
from shared.requesting import VALID

LATEST = timedelta(days=90)

Errors = list[dict[str, Any]]


async def create_messages(call: Call) -> web.Response:
    """Accept one message or many; a batch with a bad item is refused whole, naming the indexes."""
    given = await call.body()
    return await answered_once(call, lambda key: _checked(call, given, key))


async def get_message(call: Call) -> web.Response:
    """Answer with a message's state and history."""
    return await call.ask(GetMessage(message_id=call.path_id("message_id")))


async def list_messages(call: Call) -> web.Response:
    """Answer with a page of messages in doubt, newest first."""
    return await call.ask(call.query(ListMessages))


async def cancel_message(call: Call) -> web.Response:
    """Cancel what is unsent of a message: 200 when it is, 202 when it is on its way to senders or out."""
    message_id = call.path_id("message_id")
    done = await call.door.bus.ask(CancelMessage(cause=call.cause(), message_id=message_id))
    return answer(done, 202 if done.state in (None, State.PENDING) else 200)


async def publish_requests(call: Call, events: Sequence[MessageRequested]) -> None:
    """Publish messages; they count as accepted once they are all in the stream."""
    await asyncio.gather(*(call.door.bus.publish(event) for event in events))
    for event in events:
        first = event.channels[0] if event.channels else DEFAULT_CHAIN[0]
        metrics.MESSAGES_ENQUEUED.labels(priority=event.lane, channel=first).inc()


async def _checked(call: Call, given: Any, key: str | None) -> Publish:
    """Make the events of a request; raises the problem that names everything wrong with it."""
    is_batch, items = _items(given)
    made = [await _made(call, item, key, index) for index, item in enumerate(items)]
    events = [each for each in made if isinstance(each, MessageRequested)]
    errors = [
        {"index": index, **error} if is_batch else error
        for index, each in enumerate(made)
        if isinstance(each, list)
        for error in each
    ] or _repeated(events)
    if errors:
        raise invalid(errors, **({"indexes": sorted({each["index"] for each in errors})} if is_batch else {}))

    async def publish() -> tuple[int, Mapping[str, Any]]:
        await publish_requests(call, events)
        accepted = [{"id": str(event.id), "status": "accepted"} for event in events]
        return 202, ({"messages": accepted} if is_batch else accepted[0])

    return publish


async def _made(call: Call, given: Any, key: str | None, index: int) -> MessageRequested | Errors:
    """Make the event of one item, or say what is wrong with it."""
    try:
        item = MessageIn.model_validate(given)
        if errors := await _errors(call, item):
            return errors
        return _event(call, item, _id(call, item, key, index))
    except ValidationError as error:
        return errors_of(error)


def _items(given: Any) -> tuple[bool, list[Any]]:
    """Return whether the request is a batch, and its items."""
    if isinstance(given, Mapping) and "messages" in given:
        if unknown := [name for name in given if name != "messages"]:
            raise invalid([{"field": name, "message": "unknown field"} for name in unknown])
        given = given["messages"]
        if not isinstance(given, list):
            raise invalid([{"field": "messages", "message": "expected a list"}])
    if not isinstance(given, list):
        return False, [given]
    if not 1 <= len(given) <= MOST_MESSAGES:
        raise invalid([{"field": "messages", "message": f"expected 1 to {MOST_MESSAGES} messages"}])
    return True, given


async def _errors(call: Call, item: MessageIn) -> Errors:
    """Return what is wrong with a message whose fields are well-formed."""
    errors: Errors = list(await content_errors(call.door, item, item.variables))
    now = call.door.now()
    if item.expires_at is not None and not now < item.expires_at <= now + LATEST:
        errors.append({"field": "expires_at", "message": f"is not within the next {LATEST.days} days"})
    until = item.expires_at or now + VALID[Lane(item.lane)]
    if item.not_before is not None and item.not_before >= until:
        errors.append({"field": "not_before", "message": "is not before the message expires"})
    return errors


def _id(call: Call, item: MessageIn, key: str | None, index: int) -> UUID:
    if item.id is not None:
        return item.id
    return uuid4() if key is None else ids.derived("api message", call.key.id, key, index)


def _event(call: Call, item: MessageIn, message_id: UUID) -> MessageRequested:
    now = call.door.now()
    lane = Lane(item.lane)
    return MessageRequested.model_validate(
        {
            **item.model_dump(exclude={"id", "channel", "channels", "expires_at"}),
            "id": message_id,
            "at": now,
            "lane": lane,
            "channels": item.chain,
            "expires_at": item.expires_at or now + VALID[lane],
        }
    )


def _repeated(events: Sequence[MessageRequested]) -> Errors:
    """Name items that share an id: only the first of them would ever be sent."""
    known: set[UUID] = set()
    errors: Errors = []
    for index, event in enumerate(events):
        if event.id in known:
            errors.append({"index": index, "field": "id", "message": "is another item's id too"})
        known.add(event.id)
    return errors


ROUTES = (
    Route(
        "POST",
        "/messages",
        KeyRole.SERVICE,
        create_messages,
        {202: Accepted | AcceptedMessages},
        body=MessageIn | tuple[MessageIn, ...] | MessagesIn,
    ),
    Route("GET", "/messages", KeyRole.SERVICE, list_messages, {200: DoubtPage}, query=ListMessages),
    Route("GET", "/messages/{message_id}", KeyRole.SERVICE, get_message, {200: MessageView}),
    Route(
        "DELETE",
        "/messages/{message_id}",
        KeyRole.SERVICE,
        cancel_message,
        {200: MessageCancelled, 202: MessageCancelled},
        refuses=(409,),
    ),
)
