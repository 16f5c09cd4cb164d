"""Rebuilding: a service's projections made anew from the streams, compared, and put in place at once.

Nothing is sent, nothing consumed, and the service works on. The new tables are fed up to the head of the
streams; then writers are held off for the moment that it takes to feed the rest, compare and swap. Whatever
a writer had committed before is in the streams by then, and whatever he writes afterwards goes into the new
tables: no event falls between. They begin with what trimmed events have left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from shared.bus import Streams
from shared.database import Database
from shared.failpoints import passing
from shared.record.books import names_of
from shared.record.feeding import Feeding, Progress, Projecting
from shared.record.shadow import SCHEMA, Compared, Shadow
from shared.record.trimmed import held

NEARLY = 200
"""So few events are fed while writers wait."""
ROUNDS = 20
LOCK_TRIES = 60
AGAIN_SECONDS = 0.5
_ONE_AT_A_TIME = "SELECT pg_try_advisory_lock(hashtext('carillon rebuild'))"


class Busy(Exception):
    """Another rebuild of this service is running, or its tables are never free."""


class WouldLose(Exception):
    """The tables have rows that the streams do not tell of: they would be gone."""

    def __init__(self, compared: Sequence[Compared]) -> None:
        super().__init__(", ".join(f"{each.gone} in {each.table}" for each in compared if each.gone))
        self.compared = compared


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild found: the old tables beside the new ones, and how many events it took."""

    compared: Sequence[Compared]
    events: int

    @property
    def same(self) -> bool:
        """Say whether the tables were right."""
        return all(each.same for each in self.compared)


async def rebuild(
    url: str,
    streams: Streams,
    projecting: Callable[[Database], Projecting],
    *,
    progress: Progress = lambda _: None,
    swap: bool = True,
    lose: bool = False,
) -> Rebuilt:
    """Rebuild the projections of the service whose database is at `url`.

    Without `swap` it only compares. Raises Busy, or WouldLose unless `lose`: then nothing has changed.
    """
    async with _alone(url) as connection, held(url), _beside(url) as beside:
        made = projecting(beside)
        filled = {feed.fills: feed.looked_up for feed in made.feeds if feed.fills}
        shadow = Shadow(connection, made.tables, made.bulky, filled)
        await shadow.create()
        try:
            await shadow.begin_with_trimmed()
            feeding = Feeding(streams, made, await deaths(streams, made), shadow.make_indexes)
            await feeding.up_to(await streams.cut(), progress)
            await shadow.complete()
            passing("rebuild_fed")
            for _ in range(ROUNDS):
                if await feeding.up_to(await streams.cut(), progress) <= NEARLY:
                    break
            compared = await _swap(connection, shadow, feeding, progress, swap=swap, lose=lose)
        finally:
            await shadow.drop()
        return Rebuilt(compared, feeding.events)


async def _swap(
    connection: asyncpg.Connection, shadow: Shadow, feeding: Feeding, progress: Progress,
    *, swap: bool, lose: bool,
) -> Sequence[Compared]:  # fmt: skip
    for _ in range(LOCK_TRIES):
        try:
            async with connection.transaction():
                await shadow.lock()
                await feeding.up_to(await feeding.streams.cut(), progress)
                compared = await shadow.compare()
                if swap and not lose and any(each.gone for each in compared):
                    raise WouldLose(compared)
                if swap:
                    await shadow.put_in_place()
                    passing("rebuild_swapped")
                return compared
        except asyncpg.LockNotAvailableError:
            # Somebody reads or writes for long: go on, and ask again.
            await asyncio.sleep(AGAIN_SECONDS)
            await feeding.up_to(await feeding.streams.cut(), progress)
    raise Busy("its tables are in use without a pause")


async def deaths(streams: Streams, made: Projecting) -> Mapping[str, Mapping[str, int]]:
    """Return the events that died, and in which of their lives: the tables lack them until the next one."""
    cut = await streams.cut()
    dead: dict[str, dict[str, int]] = {feed.durable: {} for feed in made.feeds}
    for durable, lives in dead.items():
        for stream, word in (("DLQ", "dlq"), ("DISCARDED", "discarded")):
            async for stored in streams.read(stream, f"{word}.{durable}", up_to=cut[stream]):
                for name in names_of(stored):
                    lives[name] = max(stored.replay, lives.get(name, 0))
    return dead


@asynccontextmanager
async def _alone(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if not await connection.fetchval(_ONE_AT_A_TIME):
            raise Busy("another rebuild of it is running")
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _beside(url: str) -> AsyncIterator[Database]:
    """Open a database that looks into the new tables first; they are made durable by the swap."""
    settings = {"search_path": f"{SCHEMA}, public", "synchronous_commit": "off"}
    async with Database.open(url, pool_size=4, settings=settings) as database:
        yield database
