"""The database: statements, transactions, spans; what counts as away; attempts; a role and its own."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from devstack.servers import free_port
from shared import telemetry
from shared.bus.records import Begun
from shared.database import (
    Attempts,
    Database,
    TimedOut,
    create_role_and_database,
    driver_url,
    is_unavailable,
)
from tests.servers import AnyPostgres, open_postgres


@pytest.fixture
async def url(postgres_server: AnyPostgres) -> AsyncIterator[str]:
    """The URL of an empty database."""
    admin = await asyncpg.connect(postgres_server.url)
    try:
        await admin.execute("DROP DATABASE IF EXISTS shared_test WITH (FORCE)")
        await admin.execute("CREATE DATABASE shared_test")
        yield f"{postgres_server.url.rpartition('/')[0]}/shared_test"
        await admin.execute("DROP DATABASE shared_test WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open database with one table of people."""
    async with Database.open(url, pool_size=2) as opened:
        await opened.execute(text("CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, facts jsonb)"))
        yield opened


INSERT = text("INSERT INTO people (id, email) VALUES (:id, :email)")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that end while the test runs."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


async def test_statements_answer_in_every_shape(database: Database) -> None:
    """Rows, a row or None, a value or None, and the number of rows touched."""
    touched = await database.execute(
        text("INSERT INTO people (id, email) SELECT n, n::text FROM generate_series(1, 3) AS n")
    )

    assert touched == 3
    rows = await database.rows(text("SELECT id FROM people WHERE id > :low ORDER BY id"), low=1)
    assert [row["id"] for row in rows] == [2, 3]
    found = await database.row(text("SELECT email FROM people WHERE id = :id"), id=2)
    assert found is not None
    assert dict(found) == {"email": "2"}
    assert await database.row(text("SELECT email FROM people WHERE id = :id"), id=9) is None
    assert await database.value(text("SELECT count(*) FROM people")) == 3
    assert await database.value(text("SELECT id FROM people WHERE id = 9")) is None


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    """`begin` commits what ends well and rolls back what does not."""

    async def write(number: int, error: Exception | None) -> None:
        async with database.begin() as connection:
            await connection.execute(INSERT, {"id": number, "email": str(number)})
            if error:
                raise error

    await write(1, None)
    with pytest.raises(LookupError):
        await write(2, LookupError())

    assert await database.value(text("SELECT array_agg(id) FROM people")) == [1]


async def test_a_statement_is_a_span_in_the_callers_trace(
    database: Database, spans: InMemorySpanExporter
) -> None:
    """The span shows the statement with its placeholders and none of its values."""
    with telemetry.span("register") as caller:
        await database.execute(INSERT, id=1, email="ada@example.org")

    span = next(each for each in spans.get_finished_spans() if each.name == "sql insert")
    assert span.parent is not None
    assert span.parent.span_id == caller.get_span_context().span_id
    assert span.kind == trace.SpanKind.CLIENT
    assert dict(span.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.namespace": "shared_test",
        "db.query.text": "INSERT INTO people (id, email) VALUES ($1, $2)",
    }


async def test_a_failed_statement_gives_no_value_away(
    database: Database, spans: InMemorySpanExporter
) -> None:
    """PostgreSQL quotes the value that offends; neither span nor error text repeats what was sent."""
    await database.execute(INSERT, id=1, email="ada@example.org")
    with pytest.raises(IntegrityError):
        await database.execute(INSERT, id=2, email="ada@example.org")
    with pytest.raises(DBAPIError) as refused:
        await database.execute(INSERT, id="secret-number", email="grace@example.org")

    failed = [each for each in spans.get_finished_spans() if not each.status.is_ok]
    assert [(each.attributes or {})["db.response.status_code"] for each in failed] == ["23505", "22000"]
    assert "example.org" not in "".join(_text(each) for each in failed)
    assert "grace@example.org" not in str(refused.value)


async def test_a_cancelled_statement_ends_its_span(
    database: Database, postgres_server: AnyPostgres, spans: InMemorySpanExporter
) -> None:
    """A span that never ends is never seen, in just the trace in which somebody looks for the delay."""
    working = asyncio.create_task(database.value(text("SELECT pg_sleep(60) /* cancelled */")))
    await _running(postgres_server, "cancelled")
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    assert [each.name for each in spans.get_finished_spans()] == ["sql select"]
    assert await database.value(text("SELECT 1")) == 1


async def test_a_restarted_server_is_met_with_new_connections(tmp_path: Path) -> None:
    """No caller meets a connection that the server has closed long ago."""
    async with (
        open_postgres(tmp_path / "postgres") as server,
        Database.open(server.url, pool_size=2) as database,
    ):
        await asyncio.gather(*(database.value(text("SELECT pg_sleep(0.05)")) for _ in range(2)))

        await server.kill()
        with pytest.raises(ConnectionRefusedError) as away:
            await database.value(text("SELECT 1"))
        assert is_unavailable(away.value)
        assert not await database.reachable()

        await server.restart()
        assert await asyncio.gather(*(database.value(text("SELECT 1")) for _ in range(2))) == [1, 1]
        assert await database.reachable()


async def test_a_connection_cut_in_mid_statement_is_an_outage(
    database: Database, postgres_server: AnyPostgres
) -> None:
    """A server that stops while it works for us is away, not wrong."""
    working = asyncio.create_task(database.value(text("SELECT pg_sleep(20) /* cut */")))
    await _running(postgres_server, "cut", end=True)

    with pytest.raises(DBAPIError) as cut:
        await working

    assert is_unavailable(cut.value)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("INSERT INTO people (id, email) VALUES (1, 'x'), (1, 'y')", {}),
        ("INSERT INTO people (id) VALUES (:id)", {"id": 2**40}),
        ("INSERT INTO people (id) VALUES (:id)", {"id": "one"}),
        ("INSERT INTO people (id, email) VALUES (1, :email)", {"email": "\ud800"}),
        ("INSERT INTO people (id, email) VALUES (1, :email)", {"email": "\0"}),
        ("SELEKT 1", {}),
        ("SELECT * FROM nowhere", {}),
        ("SELECT 1 / 0", {}),
    ],
)
async def test_a_wrong_statement_is_no_outage(
    database: Database, statement: str, values: dict[str, object]
) -> None:
    """What would fail again goes to the dead letters; taken for an outage it would stop the service."""
    with pytest.raises(DBAPIError) as wrong:
        await database.execute(text(statement), **values)

    assert not is_unavailable(wrong.value)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionResetError(),
        TimedOut(),
        socket.gaierror(socket.EAI_AGAIN, "no answer"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError("Multiple exceptions: [Errno 111] refused, [Errno 111] refused"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.TooManyConnectionsError("sorry"),
        asyncpg.ReadOnlySQLTransactionError("a standby"),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'errno', '')}",
)
def test_whatever_keeps_us_from_the_server_is_an_outage(error: Exception) -> None:
    """Waiting helps against these, so they burn no attempt."""
    assert is_unavailable(error)


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), FileNotFoundError(errno.ENOENT, "no template"), PermissionError(), ValueError(),
     KeyError("x"), asyncpg.InvalidPasswordError("no"), asyncpg.UniqueViolationError("twice")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_waiting_does_not_cure_is_no_outage(error: Exception) -> None:
    """A missing file is an operating system's error too, and a fault of ours all the same."""
    assert not is_unavailable(error)


async def test_a_refused_connection_is_unreachable() -> None:
    """Readiness hears no, not an exception."""
    async with Database.open(f"postgresql://nobody:nothing@127.0.0.1:{free_port()}/none") as database:
        assert not await database.reachable()


def test_urls_are_taken_as_they_are_usually_written() -> None:
    """Both schemes that people write, awkward passwords, and `sslmode`, which asyncpg calls `ssl`."""
    found = driver_url("postgres://shop:p%40ss@db:5433/shop?sslmode=require")

    assert found.drivername == "postgresql+asyncpg"
    assert (found.username, found.password, found.host, found.port) == ("shop", "p@ss", "db", 5433)
    assert dict(found.query) == {"ssl": "require"}


async def test_attempts_count_starts_and_failures_apart(database: Database) -> None:
    """A start without an end is a crash; an outage takes its start back; what is done is forgotten."""
    await database.execute(
        text("""CREATE TABLE bus_attempts (durable text, event_key text, starts int NOT NULL,
                failures int NOT NULL, error text, updated_at timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (durable, event_key))""")
    )
    attempts = Attempts(database)

    assert await attempts.begin("d", "k") == Begun(0, 0)
    assert await attempts.fail("d", "k", "LookupError") == 1
    assert await attempts.begin("d", "k") == Begun(1, 1)
    assert (await attempts.begin("d", "k")).crashes == 1
    await attempts.undo("d", "k")
    assert (await attempts.begin("d", "k")).crashes == 1
    assert await attempts.begin("another", "k") == Begun(0, 0)
    await attempts.forget("d", "k")
    assert await attempts.begin("d", "k") == Begun(0, 0)


async def test_a_role_sees_its_own_database_only(postgres_server: AnyPostgres) -> None:
    """Each service has a role and a database; another service's role cannot even connect."""
    where = postgres_server.url.rpartition("@")[2].partition("/")[0]
    cats, dogs = (f"postgresql://{name}:p%40ss-{name}@{where}/{name}" for name in ("cats", "dogs"))
    for url in (cats, dogs, cats):
        await create_role_and_database(postgres_server.url, url)

    own = await asyncpg.connect(cats)
    await own.execute("CREATE TABLE toys (id int)")
    await own.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"{cats.rpartition('/')[0]}/dogs")


async def _running(server: AnyPostgres, mark: str, *, end: bool = False) -> None:
    """Wait until a statement with a mark runs; end its connection if told to."""
    found = "count(pg_terminate_backend(pid))" if end else "count(*)"
    admin = await asyncpg.connect(server.url)
    try:
        while not await admin.fetchval(
            f"SELECT {found} FROM pg_stat_activity"  # noqa: S608 - one of two constants
            " WHERE state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()", f"%/* {mark} */%"
        ):  # fmt: skip
            await asyncio.sleep(0.02)
    finally:
        await admin.close()


def _text(span: ReadableSpan) -> str:
    return f"{span.to_json()}"
