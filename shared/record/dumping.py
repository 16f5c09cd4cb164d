"""Copies of a service's tables as of one moment, by PostgreSQL's COPY: no program besides is needed."""

import asyncio
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import asyncpg
import orjson

SECONDS = 3600.0

_TABLES = """
    SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name,
           array(SELECT quote_ident(a.attname) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                 ORDER BY a.attnum) AS columns,
           array(SELECT DISTINCT f.relname::text FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid
                 WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid) AS needs
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'trimmed') AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    ORDER BY n.nspname, c.relname"""


class HoldsRows(Exception):
    """The database holds rows already: a backup is restored into an empty system only."""


async def dump(url: str, folder: Path) -> int:
    """Write every table into a file, and what it takes to read them again; return how many rows."""
    await asyncio.to_thread(folder.mkdir, mode=0o700)
    connection = await asyncpg.connect(url, timeout=10, command_timeout=SECONDS)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
            tables = _in_order(await connection.fetch(_TABLES))
            rows = 0
            for table in tables:
                status = await connection.copy_from_query(
                    f"SELECT {', '.join(table['columns'])} FROM {_full(table['name'])}",  # noqa: S608 - names of tables
                    output=str(folder / f"{table['name']}.copy"), format="binary",
                )  # fmt: skip
                rows += int(status.split()[-1])
    finally:
        await connection.close()
    (folder / "tables.json").write_bytes(
        orjson.dumps({"revision": revision, "tables": tables, "rows": rows}, option=orjson.OPT_INDENT_2)
    )
    return rows


def revision_of(folder: Path) -> str:
    """Return the migration that a dump was made at."""
    return str(orjson.loads((folder / "tables.json").read_bytes())["revision"])


async def empty(url: str) -> None:
    """Make a database as bare as before its first migration; raises HoldsRows where there is something."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for table in await connection.fetch(_TABLES):
            if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {_full(table['name'])})"):  # noqa: S608 - names of tables
                raise HoldsRows(table["name"])
        await connection.execute(
            "DROP SCHEMA IF EXISTS trimmed CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        )
    finally:
        await connection.close()


async def load(url: str, folder: Path) -> int:
    """Read a dump into a database at its migration, in one transaction; return how many rows."""
    told = orjson.loads((folder / "tables.json").read_bytes())
    connection = await asyncpg.connect(url, timeout=10, command_timeout=SECONDS)
    rows = 0
    try:
        async with connection.transaction():
            for table in told["tables"]:
                # What migrations put there is in the dump, as it was.
                schema, name = _full(table["name"]).split(".")
                await connection.execute(f"DELETE FROM {schema}.{name}")  # noqa: S608 - a table's name
                status = await connection.copy_to_table(
                    name, source=str(folder / f"{table['name']}.copy"), schema_name=schema,
                    columns=[name.strip('"') for name in table["columns"]], format="binary",
                )  # fmt: skip
                rows += int(status.split()[-1])
    finally:
        await connection.close()
    return rows


def _full(name: str) -> str:
    """Return a table's name with its schema: those of `public` are told without it."""
    return name if "." in name else f"public.{name}"


def _in_order(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sort tables so that each comes after those that it points to."""
    tables = {each["name"]: dict(each) for each in found}
    order = TopologicalSorter({name: each["needs"] for name, each in tables.items()}).static_order()
    return [tables[name] for name in order]
