"""How projections are fed: which events of which stream go to which handler, without consuming anything."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import ValidationError

from shared import tasks
from shared.bus import BatchRoute, Receipt, Route, Stored, Streams
from shared.bus.envelope import reader
from shared.events import Event
from shared.topology import durable

BATCH = 2_000
AT_ONCE = 3
YOUNG_OBJECTS = 100_000
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Feed:
    """What a durable brings to projections: the routes of its events; `subjects` narrow the durable's.

    `fills` is a table to which it does nothing but add rows, by statements that take a row twice as well as
    once with no index to tell them: in a table that is new it gets its indexes when it is full. Those of them
    that feeds before it look up are `looked_up`: they are there from the start where trimmed rows are.
    """

    durable: str
    routes: tuple[Route | BatchRoute, ...]
    subjects: tuple[str, ...] = ()
    fills: str | None = None
    looked_up: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """The stream that it comes from."""
        return durable(self.durable).stream

    @property
    def patterns(self) -> tuple[str, ...]:
        """The subjects that it comes under."""
        return self.subjects or durable(self.durable).subjects


@dataclass(frozen=True)
class Projecting:
    """A service's projections: their tables, their feeds in an order that suits them, and a last touch."""

    tables: tuple[str, ...]
    feeds: tuple[Feed, ...]
    bulky: tuple[str, ...] = ()
    """Tables that nothing but their keys is looked up in meanwhile: their other indexes come afterwards."""
    finish: Callable[[], Awaitable[None]] | None = None


@dataclass
class Feeding:
    """Feeds projections from the streams, piece by piece; knows how far it has come."""

    streams: Streams
    projecting: Projecting
    dead: Mapping[str, Mapping[str, int]]
    """By durable: events that died, and in which of their lives."""
    filled: Callable[[str], Awaitable[None]] | None = None
    """What is to be done once a table is filled."""
    reached: dict[str, int] = field(default_factory=dict)
    events: int = 0

    async def up_to(self, cut: Mapping[str, int], progress: Progress) -> int:
        """Feed everything up to a cut that was not fed yet; return how many events that were."""
        with _seldom_collected():
            return await self._up_to(cut, progress)

    async def _up_to(self, cut: Mapping[str, int], progress: Progress) -> int:
        before = self.events
        for feed in self.projecting.feeds:
            async for batch in self._batches(feed, self.reached.get(feed.stream, 0) + 1, cut[feed.stream]):
                self.events += len(batch)
                progress(len(batch))
            if feed.fills and self.filled and feed.stream not in self.reached:
                await self.filled(feed.fills)
        for feed in self.projecting.feeds:
            self.reached[feed.stream] = max(cut[feed.stream], self.reached.get(feed.stream, 0))
        if self.projecting.finish:
            await self.projecting.finish()
        return self.events - before

    async def _batches(self, feed: Feed, since: int, up_to: int) -> AsyncIterator[Sequence[Stored]]:
        """Read and handle, several batches at a time: in whatever order they end, the rows are the same."""
        running: set[asyncio.Task[None]] = set()
        batch: list[Stored] = []
        try:
            async for stored in self.streams.read(feed.stream, *feed.patterns, since=since, up_to=up_to):
                batch.append(stored)
                if len(batch) == BATCH:
                    running.add(asyncio.create_task(self._handle(feed, batch)))
                    yield batch
                    batch = []
                    if len(running) >= AT_ONCE:
                        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                        for each in done:
                            each.result()
            if batch:
                await self._handle(feed, batch)
                yield batch
            for each in running:
                await each
        finally:
            await tasks.cancel(*running)

    async def _handle(self, feed: Feed, batch: Sequence[Stored]) -> None:
        dead = self.dead.get(feed.durable, {})
        for route in feed.routes:
            if isinstance(route, BatchRoute):
                if events := [event for _, event in _events(route, feed, batch, dead)]:
                    await route.handle(events)
                continue
            for stored, event in _events(route, feed, batch, dead):
                receipt = Receipt(stored.replay, 1, stored.sequence, event.at)
                await route.handle(event, receipt)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Let the collector of cycles look seldom meanwhile: thousands of events live, and none is in a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(max(YOUNG_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _events(
    route: Route | BatchRoute, feed: Feed, batch: Sequence[Stored], dead: Mapping[str, int]
) -> list[tuple[Stored, Event]]:
    """Read the events of a route; what is a dead letter, or no such event, is left out."""
    wanted = route.event_class
    assert wanted is not None  # noqa: S101 - dead letters feed no projection
    read = reader(wanted)
    found = []
    for stored in batch:
        name = stored.event
        if (name and name != wanted.name) or (not name and len(feed.routes) > 1):
            continue
        try:
            event = read(stored.payload)
        except ValidationError:
            continue
        if dead:
            died_in = max(dead.get(str(event.id), -1), dead.get(stored.event_key, -1))
            if stored.replay <= died_in:
                continue
        found.append((stored, event))
    return found
