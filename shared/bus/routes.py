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
    """An event class and the function that handles many of it at once.

    Events that are `alone` are none of a batch: `handle_one` takes each of them, and of others whatever
    has to be handled by itself. Without it, that is a batch of one.
    """

    event_class: type[Event]
    handle: Callable[[Sequence[Any]], Awaitable[None]]
    alone: Callable[[Any], bool] | None = None
    handle_one: Callable[[Any, Receipt], Awaitable[None]] | None = None

    @property
    def single(self) -> Route:
        """The route of what is handled by itself."""
        return Route(self.event_class, self.handle_one or self._handle_batch_of_one)

    async def _handle_batch_of_one(self, event: Any, _receipt: Receipt) -> None:
        await self.handle([event])


def on(event_class: type[EventT], handler: Callable[[EventT, Receipt], Awaitable[None]]) -> Route:
    """Route an event class to its handler."""
    return Route(event_class, handler)


def on_batch(event_class: type[EventT], handler: Callable[[Sequence[EventT]], Awaitable[None]]) -> BatchRoute:
    """Route an event class to a handler of batches, which must be idempotent per event."""
    return BatchRoute(event_class, handler)


def on_batch_or_alone(
    event_class: type[EventT],
    handler: Callable[[Sequence[EventT]], Awaitable[None]],
    *,
    alone: Callable[[EventT], bool],
    handle_one: Callable[[EventT, Receipt], Awaitable[None]],
) -> BatchRoute:
    """Route an event class to a handler of batches, and those that are `alone` each to another.

    Those run side by side and begin in the order in which they came. `handle_one` must take every event of
    the class: what of a batch has failed, or comes again, is handled by it.
    """
    return BatchRoute(event_class, handler, alone, handle_one)


def on_dead_letter(handler: Callable[["DeadLetter"], Awaitable[None]]) -> Route:
    """Route the dead letters that a durable of the DLQ stream sees."""
    return Route(None, lambda letter, _: handler(letter))
