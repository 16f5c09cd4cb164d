"""A service's books: what the streams said, in a table of the moment, compared with its tables by SQL.

Nothing but the differences is held in memory, whatever the number of events. Everything happens in one
transaction that sees the tables of one moment: what came after the cut and is in them is looked up in the
streams afterwards. What trimmed events said is kept beside the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.bus import Stored, Streams
from shared.database import Database
from shared.queries import AuditLine, Books
from shared.record import trimmed
from shared.record.saying import Source, fields_of, key_of, update_key

CHUNK = 5_000
PATIENT_SECONDS = 600.0
"""So long a statement over all that was ever said may take: it grows with the years, others do not."""
AT_MOST = 10_000
"""So many differences of a line are told; more are as bad."""

BEST = "(SELECT DISTINCT ON (source, key) * FROM said ORDER BY source, key, weight DESC, tie DESC)"
"""What counts of everything that was said."""

_BEGIN = (text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"), text(trimmed.HOLD))
_TABLES = (
    text("""
    CREATE TEMP TABLE said (
        source text, key text, state text, weight bigint, tie text, parent text, last bool
    ) ON COMMIT DROP"""),
    text("CREATE TEMP TABLE dead (durable text, key text) ON COMMIT DROP"),
    text("CREATE TEMP TABLE differing (line int, key text, said text, kept text) ON COMMIT DROP"),
)
_ANALYZE = text("ANALYZE said")


@dataclass(frozen=True)
class Line:
    """A sum from both sides: two SELECTs of (key, state), that of the tables with `open` besides.

    What is `open` may differ, but not from `sent`: it is being tried, or not told yet. What died under one of
    these durables need not be in the tables.
    """

    name: str
    stream: str
    tables: str
    durables: tuple[str, ...] = ()
    by_state: bool = False


async def balance(
    database: Database,
    streams: Streams,
    cut: Mapping[str, int],
    sources: Sequence[Source],
    lines: Sequence[Line],
) -> Books:
    """Compare a service's tables with what was said up to a cut that its durables have passed."""
    async with database.patient(PATIENT_SECONDS) as patient, patient.begin() as connection:
        await begin(connection)
        await connection.execute(trimmed.SAY)
        await load(connection, streams, sources, {}, cut)
        await _load_dead(connection, streams, {line for each in lines for line in each.durables})
        differing = [await _note_differences(connection, *each) for each in enumerate(lines)]
        counts = [await _counts(connection, line) for line in lines]
        found: list[set[Difference]] = [set() for _ in lines]
        if any(differing):
            await load(connection, streams, sources, cut, await streams.cut())
            found = [await _lasting(connection, *each) for each in enumerate(lines)]
        told = zip(lines, found, counts, strict=True)
        return Books(lines=tuple(part for each in told for part in _told(*each)))


Difference = tuple[str, str | None, str | None]
Counts = dict[str, tuple[int, int]]


async def begin(connection: AsyncConnection) -> None:
    """Begin to see the tables of one moment, with nothing said yet; no event goes meanwhile."""
    for statement in (*_BEGIN, *_TABLES):
        await connection.execute(statement)


async def load(
    connection: AsyncConnection,
    streams: Streams,
    sources: Sequence[Source],
    since: Mapping[str, int],
    up_to: Mapping[str, int],
) -> None:
    """Load what was said after one cut up to another."""
    for source in sources:
        first, last = since.get(source.stream, 0) + 1, up_to[source.stream]
        rows: list[tuple[object, ...]] = []
        async for stored in streams.read(source.stream, *source.subjects, since=first, up_to=last):
            rows.extend(astuple(said) for said in source.read(stored))
            if len(rows) >= CHUNK:
                await copy_rows(connection, "said", rows)
                rows = []
        await copy_rows(connection, "said", rows)
    await connection.execute(_ANALYZE)


async def _load_dead(connection: AsyncConnection, streams: Streams, durables: set[str]) -> None:
    """Load dead letters, open and given up, under every name that they may go by."""
    if not durables:
        return
    rows: list[tuple[object, ...]] = []
    cut = await streams.cut()
    for stream, word in (("DLQ", "dlq"), ("DISCARDED", "discarded")):
        subjects = [f"{word}.{durable}" for durable in sorted(durables)]
        async for stored in streams.read(stream, *subjects, up_to=cut[stream]):
            durable = stored.subject.partition(".")[2]
            rows.extend((durable, name) for name in names_of(stored))
    await copy_rows(connection, "dead", rows)


def names_of(stored: Stored) -> set[str]:
    """Return every name that the event of a dead letter may go by in the books."""
    fields = fields_of(stored.payload)
    return {stored.event_key, key_of(stored, fields), update_key(stored, fields)}


async def copy_rows(connection: AsyncConnection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Copy rows into a table of this transaction."""
    if rows:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101 - a connection in use has its driver's
        await driver.copy_records_to_table(table, records=rows)


def _differences(line: Line) -> str:
    return f"""
        WITH lost AS (SELECT DISTINCT key FROM dead WHERE durable = ANY(CAST(:durables AS text[])))
        SELECT key, stream.state AS said, tables.state AS kept
        FROM ({line.stream}) AS stream FULL JOIN ({line.tables}) AS tables USING (key)
        WHERE (stream.state IS NULL AND NOT tables.open)
           OR (stream.state IS NOT NULL AND stream.state IS DISTINCT FROM tables.state
               AND NOT (coalesce(tables.open, false) AND stream.state <> 'sent')
               AND key NOT IN (SELECT key FROM lost))"""  # noqa: S608 - made of constants


async def _note_differences(connection: AsyncConnection, number: int, line: Line) -> int:
    """Note what differs at the cut, what came after it included; return how much that is."""
    statement = f"INSERT INTO differing SELECT :line, key, said, kept FROM ({_differences(line)}) AS each"  # noqa: S608 - constants
    noted = await connection.execute(text(statement), {"line": number, "durables": list(line.durables)})
    return noted.rowcount


async def _lasting(connection: AsyncConnection, number: int, line: Line) -> set[Difference]:
    """Return what differs still, when what came after the cut is known."""
    statement = f"""
        SELECT key, said, kept FROM ({_differences(line)}) AS each
        INTERSECT SELECT key, said, kept FROM differing WHERE line = :line LIMIT :at_most"""  # noqa: S608 - constants
    found = await connection.execute(
        text(statement), {"line": number, "durables": list(line.durables), "at_most": AT_MOST}
    )
    return {(row.key, row.said, row.kept) for row in found}


async def _counts(connection: AsyncConnection, line: Line) -> Counts:
    statement = text(f"""
        SELECT state, sum(stream) AS stream, sum(tables) AS tables FROM (
            SELECT state, count(*) AS stream, 0 AS tables FROM ({line.stream}) AS one GROUP BY state
            UNION ALL
            SELECT state, 0, count(*) FROM ({line.tables}) AS other GROUP BY state) AS sides
        GROUP BY state ORDER BY state""")  # noqa: S608 - made of constants
    return {row.state: (int(row.stream), int(row.tables)) for row in await connection.execute(statement)}


def _told(line: Line, found: set[Difference], counts: Counts) -> list[AuditLine]:
    if not line.by_state:
        stream, tables = (sum(each[side] for each in counts.values()) for side in (0, 1))
        return [_line(line.name, stream, tables, found)]
    states = set(counts) | {state for _, said, kept in found for state in (said, kept) if state}
    return [
        _line(
            f"{line.name}: {state}",
            *counts.get(state, (0, 0)),
            {each for each in found if each[1] == state or (each[1] is None and each[2] == state)},
        )
        for state in sorted(states)
    ]


def _line(name: str, stream: int, tables: int, found: set[Difference]) -> AuditLine:
    missing = sum(kept is None for _, _, kept in found)
    surplus = sum(said is None for _, said, _ in found)
    parts = [f"{missing} not in the tables", f"{surplus} not in the stream"]
    if other := len(found) - missing - surplus:
        parts.append(f"{other} in another state")
    examples = ", ".join(sorted(key for key, _, _ in found)[:3])
    return AuditLine(
        name=name, stream=stream, tables=tables, difference=len(found),
        note=f"{', '.join(parts)}: {examples}" if found else "",
    )  # fmt: skip
