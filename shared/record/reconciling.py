"""Reconciling: what a stream has lost and a table still knows is published again, under its own id.

A flipped bit takes a block of a single broker's stream, silently. Whoever handles the event once more finds
it done. What a table has lost is for a rebuild to bring back.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Executable, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.bus import Bus
from shared.database import Database
from shared.events import Event
from shared.failpoints import passing
from shared.record.books import CHUNK, begin, copy_rows, load
from shared.record.saying import Source, named

AT_ONCE = 200
_KEPT = text("CREATE TEMP TABLE kept (key text, ref text) ON COMMIT DROP")
# What is trimmed is not lost.
_MISSING = text("""
    SELECT key, ref FROM kept
    WHERE NOT EXISTS (SELECT FROM said WHERE said.key = kept.key)
      AND NOT EXISTS (SELECT FROM trimmed.told WHERE told.id = CAST(kept.key AS uuid))
    ORDER BY ref, key""")


@dataclass(frozen=True)
class Copies:
    """A table that knows what a stream has said.

    `rows` is a SELECT; of each row `keys` tells the ids of its events, each with the row's own key. `events`
    makes the events of rows, as far as the rows still know enough. Those of a row are told together where
    one means nothing before the other: `in_order`.
    """

    stream: str
    subjects: tuple[str, ...]
    rows: Executable
    keys: Callable[[RowMapping], Iterable[tuple[str, str]]]
    events: Callable[[AsyncConnection, Sequence[str]], Awaitable[Sequence[Event]]]
    in_order: bool = False


@dataclass(frozen=True)
class Reconciled:
    """How many events a stream has lost, how many of them are told again, and examples."""

    service: str
    stream: str
    subjects: tuple[str, ...]
    missing: int
    told: int
    examples: tuple[str, ...]


async def reconcile(
    service: str, database: Database, bus: Bus, copies: Sequence[Copies], *, dry_run: bool
) -> list[Reconciled]:
    """Publish again what the streams have lost of what a service's tables know; `dry_run` only counts."""
    return [await _reconcile(service, database, bus, each, dry_run=dry_run) for each in copies]


async def _reconcile(
    service: str, database: Database, bus: Bus, copies: Copies, *, dry_run: bool
) -> Reconciled:
    async with database.begin() as connection:
        # The tables' moment comes first: what is in them then is in the streams by now.
        await begin(connection)
        await _keep(connection, copies)
        cut = await bus.streams.cut()
        source = Source(copies.stream, copies.subjects, named("event"))
        await load(connection, bus.streams, [source], {}, cut)
        lost = {row.key: row.ref for row in await connection.execute(_MISSING)}
        found = await _events(connection, copies, lost)
    if not dry_run:
        for event in found:
            # The broker may still remember the id of what it has lost.
            await bus.publish(event, again=f"after {cut[copies.stream]}", seconds=30)
            passing("reconcile_told")
    told = sum(str(event.id) in lost for event in found)
    return Reconciled(service, copies.stream, copies.subjects, len(lost), told, tuple(sorted(lost)[:3]))


async def _keep(connection: AsyncConnection, copies: Copies) -> None:
    await connection.execute(_KEPT)
    rows: list[tuple[object, ...]] = []
    async with connection.stream(copies.rows) as found:
        async for row in found.mappings():
            rows.extend(copies.keys(row))
            if len(rows) >= CHUNK:
                await copy_rows(connection, "kept", rows)
                rows = []
    await copy_rows(connection, "kept", rows)


async def _events(connection: AsyncConnection, copies: Copies, lost: dict[str, str]) -> list[Event]:
    refs = sorted(set(lost.values()))
    found: list[Event] = []
    for start in range(0, len(refs), AT_ONCE):
        made = await copies.events(connection, refs[start : start + AT_ONCE])
        found.extend(event for event in made if copies.in_order or str(event.id) in lost)
    return found
