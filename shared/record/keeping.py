"""Keeping: what a service writes down of events before they are trimmed, so that nothing else is missed.

The same handlers that rebuild a projection make its copy, and books read the events as they do in an audit.
Doing it twice, or again after a crash, changes nothing; events go only when the cut is written down.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.bus import Refusal, Streams
from shared.database import Database
from shared.failpoints import passing
from shared.queries import KeepClicks, KeepGateway, KeepScheduler, KeepSenders, Kept
from shared.record.books import BEST, PATIENT_SECONDS, begin, load
from shared.record.feeding import Feeding, Projecting
from shared.record.rebuilding import deaths
from shared.record.reconciling import Copies
from shared.record.saying import Source, named
from shared.record.trimmed import SEARCH_PATH
from shared.topology import STREAMS

Keep = KeepScheduler | KeepClicks | KeepSenders | KeepGateway

LOCK_TRIES = 60
AGAIN_SECONDS = 0.5
_TOLD = "told"
_LOCK_TAKEN = "55P03"

_SAY = text(f"""
    INSERT INTO trimmed.said AS known (source, key, state, weight, tie, parent, last)
    SELECT source, key, state, weight, tie, parent, last FROM {BEST} AS best WHERE source <> '{_TOLD}'
    ON CONFLICT (source, key) DO UPDATE
    SET state = excluded.state, weight = excluded.weight, tie = excluded.tie, parent = excluded.parent,
        last = excluded.last
    WHERE (excluded.weight, excluded.tie) > (known.weight, known.tie)""")  # noqa: S608 - constants
# What has no id of its own no table can tell again.
_TELL = text(r"""
    INSERT INTO trimmed.told SELECT DISTINCT CAST(key AS uuid) FROM said
    WHERE source = 'told' AND key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' ON CONFLICT DO NOTHING""")
# The events go for good: this is to be on disk, with all that was written before it.
_FOR_GOOD = (text("SET LOCAL synchronous_commit TO on"), text("SET LOCAL lock_timeout TO 500"))
_MOVE = text("""
    INSERT INTO trimmed.cuts AS known (stream, sequence, before) VALUES (:stream, :sequence, :before)
    ON CONFLICT (stream) DO UPDATE
    SET sequence = excluded.sequence, before = greatest(known.before, excluded.before), trimmed_at = now()""")


@dataclass(frozen=True)
class Keeping:
    """What a service needs of events: for its books, for telling again, and for its projections."""

    sources: Sequence[Source]
    copies: Sequence[Copies]
    projecting: Callable[[Database], Projecting] | None = None


async def keep(url: str, streams: Streams, asked: Keep, keeping: Keeping) -> Kept:
    """Write down what the service at `url` needs of what lies in streams up to a cut; refused while busy."""
    up_to = {stream.name: asked.cut.get(stream.name, 0) for stream in STREAMS}
    settings = {"search_path": SEARCH_PATH, "synchronous_commit": "off"}
    async with (
        Database.open(url, pool_size=5, settings=settings, statement_seconds=PATIENT_SECONDS) as database,
        database.lock("carillon trim") as lock,
    ):
        if lock is None:
            raise Refusal(409, "Busy", "what is to be trimmed is being written down already")
        if keeping.projecting:
            made = keeping.projecting(database)
            await Feeding(streams, made, await deaths(streams, made)).up_to(up_to, lambda _: None)
        async with database.begin() as connection:
            await _write(connection, streams, up_to, keeping)
        passing("before_cut")
        await _move(database, asked)
    return Kept(cut=asked.cut)


async def _write(
    connection: AsyncConnection, streams: Streams, up_to: Mapping[str, int], keeping: Keeping
) -> None:
    told = [Source(each.stream, each.subjects, named(_TOLD)) for each in keeping.copies]
    await begin(connection)
    await load(connection, streams, [*keeping.sources, *told], {}, up_to)
    await connection.execute(_SAY)
    await connection.execute(_TELL)


async def _move(database: Database, asked: Keep) -> None:
    """Write down how far the streams may go, as soon as nobody reads them who does not know of it."""
    for _ in range(LOCK_TRIES):
        try:
            async with database.begin() as connection:
                for statement in _FOR_GOOD:
                    await connection.execute(statement)
                for stream, sequence in asked.cut.items():
                    row = {"stream": stream, "sequence": sequence, "before": asked.before[stream]}
                    await connection.execute(_MOVE, row)
                return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_TAKEN:
                raise
            await asyncio.sleep(AGAIN_SECONDS)
    raise Refusal(409, "Busy", "an audit or a rebuild is reading the streams")
