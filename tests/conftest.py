"""Fixtures that every level shares: a PostgreSQL and a broker per worker, and a fresh database per test."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import asyncpg
import pytest
from hypothesis import settings

from shared.bus.provisioning import Provisioner
from tests.databases import Databases, remember_types
from tests.memory import use_memory
from tests.servers import CONTAINERS, NO_AUTHORITIES, AnyNats, AnyPostgres, open_nats, open_postgres

FreshDatabase = Callable[[str], Awaitable[str]]
T = TypeVar("T")

ACK_WAIT_SECONDS = 2.0

# Property tests have no deadline: a busy machine is not a broken law. Here, before any of them is read.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Here, before pytest makes the first one.
use_memory(os.environ)

remember_types()

# What tests trust they have made themselves.
for name, nothing in NO_AUTHORITIES.items():
    os.environ.setdefault(name, nothing)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from all that is collected: modules and tests stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


class Background(Generic[T]):
    """Keeps an async context open on a loop of its own thread: it outlives the loops of the tests."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._context: AbstractAsyncContextManager[T] | None = None
        self.value: T = self.run(self._enter(opened))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the background loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    async def _enter(self, opened: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        self._context = opened()
        return await self._context.__aenter__()

    async def _leave(self) -> None:
        assert self._context is not None
        await self._context.__aexit__(None, None, None)

    def close(self) -> None:
        """Leave the context and end the thread."""
        self.run(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyPostgres]:
    """A PostgreSQL server per worker; `url` names its superuser."""
    folder = tmp_path_factory.mktemp("postgres")
    background = Background(lambda: open_postgres(folder))
    background.run(_settle(background.value.url))
    yield background.value
    background.close()


async def _settle(url: str) -> None:
    """Let no vacuuming visit the hundreds of small databases that tests leave behind."""
    admin = await asyncpg.connect(url)
    try:
        await admin.execute("ALTER SYSTEM SET autovacuum TO off")
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyNats]:
    """A nats-server per worker, without streams: shared by tests that do not kill it."""
    folder = tmp_path_factory.mktemp("nats")
    background = Background(lambda: open_nats(folder))
    yield background.value
    background.close()


@pytest.fixture(scope="session")
def prepared_store(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """What a broker with the topology has on disk, to be copied: that costs less than declaring it anew."""
    if CONTAINERS:
        return None
    folder = tmp_path_factory.mktemp("prepared")
    background = Background(lambda: open_nats(folder))
    background.run(_declare(background.value.url))
    background.close()
    return folder / "jetstream"


async def _declare(url: str) -> None:
    async with Provisioner.open(url, ack_wait_seconds=ACK_WAIT_SECONDS) as provisioner:
        await provisioner.apply()


@pytest.fixture
async def prepared_nats(tmp_path: Path, prepared_store: Path | None) -> AsyncIterator[AnyNats]:
    """A nats-server of the test's own, with the topology and an ack wait of two seconds."""
    folder = tmp_path / "nats"
    if prepared_store is not None:
        folder.mkdir()
        copying = await asyncio.create_subprocess_exec("cp", "-R", str(prepared_store), str(folder))
        assert await copying.wait() == 0
    async with open_nats(folder) as server:
        if prepared_store is None:
            await _declare(server.url)
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: AnyPostgres) -> Iterator[Background[Databases]]:
    """The databases of the worker's server."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Databases]:
        made = Databases(postgres_server.url)
        yield made
        await made.close()

    background = Background(opened)
    yield background
    background.close()


@pytest.fixture
def fresh_database(databases: Background[Databases]) -> Iterator[FreshDatabase]:
    """A function that returns the URL of a service's database, migrated and otherwise empty."""
    taken: list[tuple[str, str]] = []

    async def make(service: str) -> str:
        url: str = await asyncio.to_thread(databases.run, databases.value.take(service))
        taken.append((service, url))
        return url

    yield make
    for each in taken:
        databases.run(databases.value.give_back(*each))
