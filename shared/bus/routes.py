"""Which handler takes which event."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from shared.events import Event

if TYPE_CHECKING:
    from shared.bus.dead_letters import DeadLetter

EventT = TypeVar("EventT", bound=Event)


@dataclass(frozen=True)
class Receipt:
    """How an event came: `replay` 0 is its first life, `attempt` 1 its first try in this life."""

    replay: int
    attempt: int
    sequence: int
    published_at: datetime


@dataclass(frozen=True)
class Route:
    """An event class and the function that handles it; `event_class` None takes dead letters."""

    event_class: type[Event] | None
    handle: Callable[[Any, Receipt], Awaitable[None]]


@dataclass(frozen=True)
class BatchRoute:
    """An event class and the function that handles many of it at once."""

    event_class: type[Event]
    handle: Callable[[Sequence[Any]], Awaitable[None]]


def on(event_class: type[EventT], handler: Callable[[EventT, Receipt], Awaitable[None]]) -> Route:
    """Route an event class to its handler."""
    return Route(event_class, handler)


def on_batch(event_class: type[EventT], handler: Callable[[Sequence[EventT]], Awaitable[None]]) -> BatchRoute:
    """Route an event class to a handler of batches, which must be idempotent per event."""
    return BatchRoute(event_class, handler)


def on_dead_letter(handler: Callable[["DeadLetter"], Awaitable[None]]) -> Route:
    """Route the dead letters that a durable of the DLQ stream sees."""
    return Route(None, lambda letter, _: handler(letter))
