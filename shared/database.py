"""The connection to a service's own PostgreSQL database, and what every service keeps in it."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import asyncpg
import orjson
from sqlalchemy import (
    URL,
    Column,
    DateTime,
    Executable,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    event,
    func,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.bus.records import Begun
from shared.statements import trace_statements

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0

_AWAY_STATES = ("08", "57P", "53")
"""SQLSTATE prefixes: connection errors, operator intervention, insufficient resources."""
_READ_ONLY_STATE = "25006"
_LOCKED_STATE = "55P03"
_REFUSED_STATES = ("22", "23")
"""SQLSTATE prefixes: data that is none, and constraints."""
_CONFLICT_STATES = ("40P01", "40001")
_AWAY_ERRNOS = {
    errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL,
}  # fmt: skip


class TimedOut(ConnectionError):
    """The database did not answer in time: its own time-out, which no other one is to be taken for."""


def driver_url(url: str) -> URL:
    """Return the SQLAlchemy URL for a `postgresql://…` URL; `sslmode` is passed on as asyncpg's `ssl`."""
    found = make_url(url).set(drivername="postgresql+asyncpg")
    if "sslmode" in found.query:
        mode = found.query["sslmode"]
        found = found.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return found


_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")


class Lock:
    """A lock that is held."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def check(self) -> None:
        """Make sure that the lock is still held; raises what a lost connection raises."""
        with _naming_time_outs():
            await self._connection.execute(text("SELECT 1"))


class Database:
    """A pool of connections to one database."""

    def __init__(self, engine: AsyncEngine, settings: Mapping[str, str] | None = None) -> None:
        self._engine = engine
        self._settings = settings
        # A statement by itself is a transaction to the server: one way there and back instead of three.
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        pool_size: int = 10,
        settings: Mapping[str, str] | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
    ) -> AsyncIterator[Self]:
        """Open a pool while the context lasts; connections are made when they are needed.

        `settings` are the server's, for these connections; no statement takes longer than it may.
        """
        engine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # The few that suffice keep their statements prepared.
            pool_use_lifo=True,
            pool_pre_ping=False,
            hide_parameters=True,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": statement_seconds,
                "server_settings": dict(settings or {}),
            },
        )
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        trace_statements(engine.sync_engine)
        try:
            yield cls(engine, settings)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def patient(self, seconds: float) -> AsyncIterator[Self]:
        """Open one more connection to the same database, the statements of which may take so long."""
        url = self._engine.url.render_as_string(hide_password=False)
        async with self.open(
            url, pool_size=1, settings=self._settings, statement_seconds=seconds
        ) as database:
            yield database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction: committed when the context ends, rolled back when it raises."""
        with _naming_time_outs():
            async with self._engine.begin() as connection:
                yield connection

    async def rows(self, statement: Executable, /, **parameters: Any) -> Sequence[RowMapping]:
        """Run one statement in a transaction of its own and return its rows."""
        with _naming_time_outs():
            async with self._single.connect() as connection:
                return (await connection.execute(statement, parameters)).mappings().all()

    async def row(self, statement: Executable, /, **parameters: Any) -> RowMapping | None:
        """Run one statement and return its first row, or None."""
        with _naming_time_outs():
            async with self._single.connect() as connection:
                return (await connection.execute(statement, parameters)).mappings().first()

    async def value(self, statement: Executable, /, **parameters: Any) -> Any:
        """Run one statement and return the first column of its first row, or None."""
        with _naming_time_outs():
            async with self._single.connect() as connection:
                return (await connection.execute(statement, parameters)).scalar()

    async def execute(self, statement: Executable, /, **parameters: Any) -> int:
        """Run one statement and return how many rows it touched."""
        with _naming_time_outs():
            async with self._single.connect() as connection:
                return (await connection.execute(statement, parameters)).rowcount

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator["Lock | None"]:
        """Hold a lock that one replica has at a time while the context lasts; None when another has it.

        It is the connection's: whoever dies, or loses the connection, has it no longer.
        """
        with _naming_time_outs():
            async with self._single.connect() as connection:
                if not (await connection.execute(_TRY_LOCK, {"name": name})).scalar():
                    yield None
                    return
                try:
                    yield Lock(connection)
                finally:
                    # The pool would keep the connection, and with it the lock.
                    await connection.invalidate()

    async def reachable(self) -> bool:
        """Say whether the database answers, within a few seconds."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return bool(await self.value(text("SELECT 1")))
        except (
            TimeoutError,
            PoolTimeout,
            DBAPIError,
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
        ):
            return False


def is_unavailable(error: BaseException) -> bool:
    """Say whether an error means that a dependency is away, as opposed to a statement that is wrong."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return True
        state = str(getattr(error.orig, "sqlstate", "") or "")
        return (
            state.startswith(_AWAY_STATES)
            or state == _READ_ONLY_STATE
            or (isinstance(error, OperationalError) and not state)
        )
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        return state.startswith(_AWAY_STATES) or state == _READ_ONLY_STATE
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | socket.gaierror) or _no_way(error)
    return isinstance(error, PoolTimeout | asyncpg.InterfaceError)


@contextmanager
def _naming_time_outs() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise TimedOut(str(error)) from error


def is_conflict(error: BaseException) -> bool:
    """Say whether a transaction lost against another, a deadlock: nothing was done, and once more may do."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONFLICT_STATES


def is_locked(error: BaseException) -> bool:
    """Say whether a statement waited for a lock for longer than its `lock_timeout` lets it."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _LOCKED_STATE


def is_refused(error: BaseException) -> bool:
    """Say whether a statement failed of what was given to it, which cannot be kept: once more will not do."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return str(state or "").startswith(_REFUSED_STATES)


def _no_way(error: OSError) -> bool:
    """Say whether nothing leads to an address; asyncio joins the errors of several without a number."""
    return error.errno in _AWAY_ERRNOS or (error.errno is None and "Multiple exceptions" in str(error))


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool replace a connection that the server has closed, so that no caller meets it."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def attempts_table(metadata: MetaData) -> Table:
    """Declare the table in which a service counts attempts at events."""
    return Table(
        "bus_attempts",
        metadata,
        Column("durable", Text, primary_key=True),
        Column("event_key", Text, primary_key=True),
        Column("starts", Integer, nullable=False),
        Column("failures", Integer, nullable=False),
        Column("error", Text),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


class Attempts:
    """A service's record of attempts, in its own database."""

    _BEGIN = text("""
        INSERT INTO bus_attempts AS known (durable, event_key, starts, failures) VALUES (:durable, :key, 1, 0)
        ON CONFLICT (durable, event_key) DO UPDATE SET starts = known.starts + 1, updated_at = now()
        RETURNING starts - 1 AS starts, failures""")
    _FAIL = text("""
        INSERT INTO bus_attempts AS known (durable, event_key, starts, failures, error)
        VALUES (:durable, :key, 1, 1, :error)
        ON CONFLICT (durable, event_key) DO UPDATE
        SET failures = known.failures + 1, starts = greatest(known.starts, known.failures + 1),
            error = excluded.error, updated_at = now()
        RETURNING failures""")
    _UNDO = text("""
        UPDATE bus_attempts SET starts = greatest(starts - 1, failures), updated_at = now()
        WHERE durable = :durable AND event_key = :key""")
    _FORGET = text("DELETE FROM bus_attempts WHERE durable = :durable AND event_key = :key")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, durable: str, key: str) -> Begun:
        """Write down that an attempt starts; return what was known before."""
        row = await self._database.row(self._BEGIN, durable=durable, key=key)
        assert row is not None  # noqa: S101 - the statement always returns a row
        return Begun(row["starts"], row["failures"])

    async def fail(self, durable: str, key: str, error: str) -> int:
        """Write down that an attempt failed; return how many have."""
        return int(await self._database.value(self._FAIL, durable=durable, key=key, error=error))

    async def undo(self, durable: str, key: str) -> None:
        """Take back a start that was cut short by an outage."""
        await self._database.execute(self._UNDO, durable=durable, key=key)

    async def forget(self, durable: str, key: str) -> None:
        """Drop the record of an event that is done."""
        await self._database.execute(self._FORGET, durable=durable, key=key)

    async def reachable(self) -> bool:
        """Say whether the database answers."""
        return await self._database.reachable()


async def create_role_and_database(admin_url: str, url: str) -> None:
    """Create the login role and the database that `url` names, with nobody else let in; keeps what is there.

    The role's password is set to the URL's. `admin_url` needs a role that may create both.
    """
    parts = urlsplit(url)
    role, password = unquote(parts.username or ""), unquote(parts.password or "")
    name = parts.path.lstrip("/")
    with _naming_time_outs():
        admin = await asyncpg.connect(admin_url, timeout=CONNECT_SECONDS)
    try:
        quoted_role = await admin.fetchval("SELECT quote_ident($1)", role)
        quoted_name = await admin.fetchval("SELECT quote_ident($1)", name)
        quoted_password = await admin.fetchval("SELECT quote_literal($1)", password)
        known = await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        verb = "ALTER" if known else "CREATE"
        await admin.execute(f"{verb} ROLE {quoted_role} LOGIN PASSWORD {quoted_password}")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await admin.execute(f"CREATE DATABASE {quoted_name} OWNER {quoted_role}")
        await admin.execute(f"REVOKE ALL ON DATABASE {quoted_name} FROM PUBLIC")
    finally:
        await admin.close()
