"""Databases for tests: each service's is migrated once, copied when needed, and emptied to be used again.

Emptying one costs a fraction of copying one. A database is used again only when nothing can tell it from
a new one: nobody is connected, and what its catalogs say of its tables is what they said of the template's.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import asyncpg

from shared.migrations import migrate

LEAVE_SECONDS = 0.5
"""How long sessions that were closed may take to be gone."""

FIRST_OID = 16384
"""Objects from here on are not PostgreSQL's own."""

_OTHERS = """
    SELECT (SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid())
         + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())"""
_SEQUENCES = """
    SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE last_value IS NOT NULL"""
_FILLED = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind IN ('r', 'm') AND oid >= 16384 AND relname <> 'alembic_version' AND
        pg_relation_size(oid) > 0"""
# A table that is emptied gets another file: that is left out.
_SHAPE = """
    SELECT concat_ws(E'\\n',
        (SELECT string_agg(version_num, ',') FROM alembic_version),
        (SELECT string_agg(concat_ws(' ', oid, relname, relnamespace, relkind, relpersistence, relowner,
            relacl, reloptions, reltablespace, relrowsecurity), ',' ORDER BY oid)
            FROM pg_class WHERE oid >= 16384),
        (SELECT string_agg(e::text, ',' ORDER BY attrelid, attnum) FROM pg_attribute e
            WHERE attrelid >= 16384),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_attrdef e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_constraint e WHERE oid >= 16384),
        (SELECT string_agg(e::text, ',' ORDER BY indexrelid) FROM pg_index e WHERE indexrelid >= 16384),
        (SELECT string_agg(e::text, ',' ORDER BY seqrelid) FROM pg_sequence e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_trigger e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_event_trigger e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_policy e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_proc e WHERE oid >= 16384),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_type e WHERE oid >= 16384),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_namespace e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_extension e),
        (SELECT string_agg(e::text, ',' ORDER BY oid) FROM pg_rewrite e WHERE oid >= 16384),
        (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting s JOIN pg_database d
            ON d.oid = s.setdatabase WHERE d.datname = current_database()),
        (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384),
        (SELECT count(*) FROM pg_largeobject_metadata))"""


def remember_types() -> None:
    """Let asyncpg ask once in a process what PostgreSQL's own array types are, and not on every connection.

    Tests open connections by the thousand, and for most of them the answer costs more than what they are for.
    """
    plain = asyncpg.Connection._introspect_types
    known: dict[frozenset[int], Any] = {}

    async def introspect(
        connection: "asyncpg.Connection[Any]", oids: Collection[int], timeout: float | None
    ) -> tuple[Any, Any]:
        wanted = frozenset(oids)
        if wanted in known:
            # A statement with a name: none that is nameless was overwritten by asking.
            return known[wanted], SimpleNamespace(name="remembered")
        types, statement = await plain(connection, oids, timeout)
        if max(wanted) < FIRST_OID:
            known[wanted] = types
        return types, statement

    asyncpg.Connection._introspect_types = introspect


class Databases:
    """The databases of one server; all its methods run on one loop."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self._url = url
        self._prefix = prefix
        self._base = url.rsplit("/", 1)[0]
        self._numbers = itertools.count()
        self._shapes: dict[str, str] = {}
        self._idle: dict[str, list[str]] = defaultdict(list)
        self._connections: dict[str, asyncpg.Connection[asyncpg.Record]] = {}

    async def take(self, service: str) -> str:
        """Return the URL of a database of a service, migrated and otherwise empty."""
        if self._idle[service]:
            return self._idle[service].pop()
        admin = await asyncpg.connect(self._url)
        template = f"{self._prefix}template_{service}"
        name = f"{self._prefix}{service}_{next(self._numbers)}"
        try:
            if service not in self._shapes:
                await admin.execute(f"CREATE DATABASE {template}")
                self._shapes[service] = await self._prepare(service, f"{self._base}/{template}")
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await admin.close()
        return f"{self._base}/{name}"

    async def _prepare(self, service: str, url: str) -> str:
        await asyncio.to_thread(migrate, service, url)
        template = await asyncpg.connect(url)
        try:
            filled = await template.fetch(_FILLED)
            assert not filled, f"emptying databases would lose what migrations put into {filled}"
            shape: str = await template.fetchval(_SHAPE)
        finally:
            await template.close()
        return shape

    async def give_back(self, service: str, url: str) -> None:
        """Take a database back, to be used again unless it can be told from a new one."""
        try:
            connection = await self._connected(url)
            if await _left_alone(connection) and await _emptied(connection) == self._shapes[service]:
                self._idle[service].append(url)
                return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            pass
        if url in self._connections:
            self._connections.pop(url).terminate()

    async def _connected(self, url: str) -> "asyncpg.Connection[asyncpg.Record]":
        # Kept from one test to the next: making a connection costs more than all that is asked over it.
        if url not in self._connections or self._connections[url].is_closed():
            self._connections[url] = await asyncpg.connect(url, timeout=5, command_timeout=5)
        return self._connections[url]

    async def close(self) -> None:
        """Leave the server alone."""
        for connection in self._connections.values():
            await connection.close()


async def _left_alone(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    until = asyncio.get_running_loop().time() + LEAVE_SECONDS
    while await connection.fetchval(_OTHERS):
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(0.01)
    return True


async def _emptied(connection: "asyncpg.Connection[asyncpg.Record]") -> object:
    for (sequence,) in await connection.fetch(_SEQUENCES):
        await connection.execute(f"ALTER SEQUENCE {sequence} RESTART")
    if tables := [table for (table,) in await connection.fetch(_FILLED)]:
        await connection.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
    return await connection.fetchval(_SHAPE)
