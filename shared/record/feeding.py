"""How projections are fed: which events of which stream go to which handler, without consuming anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from shared.bus import BatchRoute, Receipt, Route, Stored, Streams
from shared.bus.envelope import EVENT
from shared.events import Event
from shared.topology import durable

BATCH = 1_000
AT_ONCE = 3
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Feed:
    """What a durable brings to projections: the routes of its events; `subjects` narrow the durable's."""

    durable: str
    routes: tuple[Route | BatchRoute, ...]
    subjects: tuple[str, ...] = ()

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
    reached: dict[str, int] = field(default_factory=dict)
    events: int = 0

    async def up_to(self, cut: Mapping[str, int], progress: Progress) -> int:
        """Feed everything up to a cut that was not fed yet; return how many events that were."""
        before = self.events
        for feed in self.projecting.feeds:
            async for batch in self._batches(feed, self.reached.get(feed.stream, 0) + 1, cut[feed.stream]):
                self.events += len(batch)
                progress(len(batch))
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
            for each in running:
                each.cancel()

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


def _events(
    route: Route | BatchRoute, feed: Feed, batch: Sequence[Stored], dead: Mapping[str, int]
) -> list[tuple[Stored, Event]]:
    """Read the events of a route; what is a dead letter, or no such event, is left out."""
    wanted = route.event_class
    assert wanted is not None  # noqa: S101 - dead letters feed no projection
    found = []
    for stored in batch:
        name = stored.headers.get(EVENT, "")
        if (name and name != wanted.name) or (not name and len(feed.routes) > 1):
            continue
        try:
            event = wanted.model_validate_json(stored.payload)
        except ValidationError:
            continue
        died_in = max(dead.get(str(event.id), -1), dead.get(stored.event_key, -1))
        if stored.replay > died_in:
            found.append((stored, event))
    return found
