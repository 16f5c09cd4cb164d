"""Tables built anew beside the old ones: a schema of the same shape, filled, compared, and put in place.

Whoever writes by the same statements writes into the new tables when his connection looks into the schema
`rebuilt` first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

SCHEMA = "rebuilt"
_OLD = "replaced"
LOCK_MILLISECONDS = 500
"""Below the server's deadlock time-out: whoever waits for one of the tables meanwhile is never the victim."""

INDEX_MEMORY = "256MB"
COPY_SECONDS = 600.0

_INDEXES = """
    SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition, con.contype::text AS kind,
           pg_get_constraintdef(con.oid) AS constraint_definition, i.indisunique AS is_unique
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.contype IN ('p', 'u')
    WHERE i.indrelid = ('public.' || $1)::regclass ORDER BY c.relname"""
_CHECKSUM = "SELECT count(*) AS rows, sum(hashtextextended(each::text, 0)::numeric) AS checksum"
_KEY = """
    SELECT a.attname FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
    WHERE i.indrelid = ('public.' || $1)::regclass AND i.indisprimary ORDER BY a.attnum"""
_SAME_KEY = """
    DELETE FROM {table} WHERE ctid IN (
        SELECT unnest((array_agg(ctid ORDER BY ctid))[2:]) FROM {table} GROUP BY {key} HAVING count(*) > 1)"""
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = ('public.' || $1)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
_VIEWS = """
    SELECT DISTINCT v.oid, v.relname AS name, pg_get_viewdef(v.oid) AS definition
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND v.relkind = 'v'
      AND d.refobjid = ANY($1::text[]::regclass[]) ORDER BY v.oid"""


@dataclass(frozen=True)
class Compared:
    """An old table beside its new one: rows of both, and how many are new, gone and changed."""

    table: str
    old: int
    new: int
    added: int = 0
    gone: int = 0
    changed: int = 0

    @property
    def same(self) -> bool:
        """Say whether the checksums are the same."""
        return not (self.added or self.gone or self.changed)


class Shadow:
    """New tables of a database, over a connection that belongs to it."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        tables: Sequence[str],
        bulky: Sequence[str] = (),
        filled: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._bulky = bulky
        self._filled = filled or {}
        self._made: set[str] = set()

    async def create(self) -> None:
        """Make the tables; the bulky ones with nothing but what makes their rows unique.

        Those that are to be filled have no index, until `make_indexes` is called, or what was trimmed is in
        them: then they have their key, and the indexes that are named with them.
        """
        await self.drop()
        await self._connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for table in self._tables:
            await self._connection.execute(
                f"CREATE TABLE {SCHEMA}.{table} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
                " INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE INCLUDING COMMENTS)"
            )
            if table in self._filled:
                continue
            await self._index(table, unique=True)
            if table not in self._bulky:
                await self._index(table, unique=False)

    async def begin_with_trimmed(self) -> None:
        """Copy into the tables what trimmed events have left, as of one moment: more may be coming to it."""
        copied: list[str] = []
        async with self._connection.transaction(isolation="repeatable_read"):
            for table in self._tables:
                columns = ", ".join(await columns_of(self._connection, table))
                done = await self._connection.execute(
                    f"INSERT INTO {SCHEMA}.{table} ({columns}) SELECT {columns} FROM trimmed.{table}",  # noqa: S608 - names of our own
                    timeout=COPY_SECONDS,
                )
                if done != "INSERT 0 0":
                    copied.append(table)
        for table in copied:
            if table in self._filled:
                # What comes before the rest of its rows looks these up.
                await self._index(table, unique=True)
                await self._index(table, unique=False, only=self._filled[table])
            await self._connection.execute(f"ANALYZE {SCHEMA}.{table}", timeout=COPY_SECONDS)

    async def make_indexes(self, table: str) -> None:
        """Make the indexes of a table that is filled; of rows with the same key one stays."""
        key = await self._key(table)
        await self._connection.execute(f"SET maintenance_work_mem = '{INDEX_MEMORY}'")
        try:
            await self._index(table, unique=True)
        except asyncpg.UniqueViolationError:
            # An event that was told again, which is rare.
            statement = _SAME_KEY.format(table=f"{SCHEMA}.{table}", key=key)
            await self._connection.execute(statement, timeout=COPY_SECONDS)
            await self._index(table, unique=True)
        await self._index(table, unique=False)

    async def complete(self) -> None:
        """Make the other indexes, which is quicker afterwards, and let the planner know."""
        for table in self._tables:
            if table in self._bulky:
                await self._index(table, unique=False)
            await self._connection.execute(f"ANALYZE {SCHEMA}.{table}", timeout=COPY_SECONDS)

    async def lock(self) -> None:
        """Hold off writers, not readers, for this transaction; raises asyncpg's LockNotAvailableError."""
        await self._connection.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        names = ", ".join(f"public.{table}" for table in self._tables)
        await self._connection.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")

    async def compare(self) -> list[Compared]:
        """Compare by checksum, and row by row only what is not the same."""
        return [await self._compare(table) for table in self._tables]

    async def put_in_place(self) -> None:
        """Swap old and new, with the views upon them, in the transaction that holds the lock."""
        names = [f"public.{table}" for table in self._tables]
        views = await self._connection.fetch(_VIEWS, names)
        for view in reversed(views):
            await self._connection.execute(f"DROP VIEW public.{view['name']}")
        await self._connection.execute(f"CREATE SCHEMA {_OLD}")
        for table in self._tables:
            await self._connection.execute(f"ALTER TABLE public.{table} SET SCHEMA {_OLD}")
            await self._connection.execute(f"ALTER TABLE {SCHEMA}.{table} SET SCHEMA public")
        for view in views:
            await self._connection.execute(f"CREATE VIEW public.{view['name']} AS {view['definition']}")
        await self.drop()

    async def drop(self) -> None:
        """Drop what a build, finished or not, has left."""
        await self._connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA}, {_OLD} CASCADE")

    async def _index(self, table: str, *, unique: bool, only: Sequence[str] | None = None) -> None:
        for row in await self._connection.fetch(_INDEXES, table):
            name = row["name"]
            if (
                row["is_unique"] is not unique
                or name in self._made
                or (only is not None and name not in only)
            ):
                continue
            if row["kind"]:
                constraint = f"{name} {row['constraint_definition']}"
                statement = f"ALTER TABLE {SCHEMA}.{table} ADD CONSTRAINT {constraint}"
            else:
                statement = row["definition"].replace(f" ON public.{table} ", f" ON {SCHEMA}.{table} ", 1)
            await self._connection.execute(statement, timeout=COPY_SECONDS)
            self._made.add(name)

    async def _key(self, table: str) -> str:
        return ", ".join(row["attname"] for row in await self._connection.fetch(_KEY, table))

    async def _compare(self, table: str) -> Compared:
        sums = [
            await self._connection.fetchrow(
                f"{_CHECKSUM} FROM {schema}.{table} AS each", timeout=COPY_SECONDS
            )
            for schema in ("public", SCHEMA)
        ]
        old, new = sums
        if old == new:
            return Compared(table, old["rows"], new["rows"])
        key = await self._key(table)
        first = key.partition(",")[0]
        row = await self._connection.fetchrow(
            f"""SELECT count(*) FILTER (WHERE old.{first} IS NULL) AS added,
                       count(*) FILTER (WHERE new.{first} IS NULL) AS gone,
                       count(*) FILTER (WHERE old.{first} IS NOT NULL AND new.{first} IS NOT NULL
                                        AND old::text <> new::text) AS changed
                FROM public.{table} AS old FULL JOIN {SCHEMA}.{table} AS new USING ({key})""",  # noqa: S608 - names of our own
            timeout=COPY_SECONDS,
        )
        return Compared(table, old["rows"], new["rows"], row["added"], row["gone"], row["changed"])


async def columns_of(connection: asyncpg.Connection, table: str) -> list[str]:
    """Return the columns of a table."""
    return [row["attname"] for row in await connection.fetch(_COLUMNS, table)]
