"""The servers that tests run on: embedded ones, or containers of the images that are run for real.

`STACK=containers` chooses the latter; they need a Docker engine.
"""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import asyncpg

from devstack.nats import Nats
from devstack.postgres import Postgres
from devstack.servers import free_port

CONTAINERS = os.environ.get("STACK") == "containers"
NATS_IMAGE = os.environ.get("NATS_IMAGE", "nats:2.15-alpine")
POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:18")
CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nats.conf"
START_SECONDS = 60.0
NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
"""What keeps a process from reading whom this machine trusts, which costs each a tenth of a second."""


class Container:
    """A container on ports of 127.0.0.1 that stay the same when it is started again."""

    def __init__(self, image: str, command: str, ports: Mapping[int, int], **environment: str) -> None:
        # The fixtures end what they start; the reaper would be one more image to be had.
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only where it is wanted

        self._container = DockerContainer(image).with_command(command)
        for name, value in environment.items():
            self._container.with_env(name, value)
        for inside, outside in ports.items():
            self._container.ports[inside] = ("127.0.0.1", outside)

    @classmethod
    @asynccontextmanager
    async def running(cls, container: Self) -> AsyncIterator[Self]:
        """Keep a container while the context lasts."""
        try:
            await asyncio.to_thread(container._container.start)
            await container.ready()
            yield container
        finally:
            await asyncio.to_thread(container._container.stop)

    async def kill(self) -> None:
        """Kill the server with SIGKILL."""
        await asyncio.to_thread(self._container.get_wrapped_container().kill)

    async def restart(self) -> None:
        """Stop the server if it runs, and start it over the same data."""
        await asyncio.to_thread(self._container.get_wrapped_container().restart, timeout=10)
        await self.ready()

    async def ready(self) -> None:
        """Wait until the server answers."""
        until = time.monotonic() + START_SECONDS
        while not await self.answers():
            assert time.monotonic() < until, "the container does not answer"
            await asyncio.sleep(0.05)

    async def answers(self) -> bool:
        """Say whether the server answers."""
        raise NotImplementedError


class NatsContainer(Container):
    """A nats-server with the configuration that is shipped."""

    def __init__(self) -> None:
        self._port, self._monitor_port = free_port(), free_port()
        super().__init__(
            NATS_IMAGE,
            "nats-server --config /etc/nats/carillon.conf",
            {4222: self._port, 8222: self._monitor_port},
        )
        self._container.with_volume_mapping(str(CONFIGURATION), "/etc/nats/carillon.conf", "ro")

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitor_url(self) -> str:
        """Where the monitoring endpoints are."""
        return f"http://127.0.0.1:{self._monitor_port}"

    async def answers(self) -> bool:
        """Say whether JetStream is up."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.monitor_url}/healthz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


class PostgresContainer(Container):
    """A PostgreSQL server; `url` names its superuser."""

    def __init__(self) -> None:
        self._port, self._password = free_port(), secrets.token_urlsafe(12)
        super().__init__(
            POSTGRES_IMAGE,
            "postgres -c max_connections=200 -c fsync=off -c synchronous_commit=off -c full_page_writes=off",
            {5432: self._port},
            POSTGRES_PASSWORD=self._password,
            PGDATA="/var/lib/postgresql/18/docker",
        )

    @property
    def url(self) -> str:
        """The URL of the superuser's database."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/postgres"

    async def answers(self) -> bool:
        """Say whether it takes connections."""
        try:
            connection = await asyncpg.connect(self.url, timeout=5)
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False
        await connection.close()
        return True


AnyNats = Nats | NatsContainer
AnyPostgres = Postgres | PostgresContainer


@asynccontextmanager
async def open_nats(folder: Path) -> AsyncIterator[AnyNats]:
    """Run a nats-server of its own while the context lasts."""
    if CONTAINERS:
        async with NatsContainer.running(NatsContainer()) as contained:
            yield contained
    else:
        async with Nats.open(folder) as embedded:
            yield embedded


@asynccontextmanager
async def open_postgres(folder: Path) -> AsyncIterator[AnyPostgres]:
    """Run a PostgreSQL server of its own, whose data need not survive a power cut."""
    if CONTAINERS:
        async with PostgresContainer.running(PostgresContainer()) as contained:
            yield contained
    else:
        async with Postgres.open(folder, ephemeral=True) as embedded:
            yield embedded


@asynccontextmanager
async def service_process(
    name: str, environment: Mapping[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a service as a process of its own, on a free port, until the context is left or it dies."""
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{name}",
            env={**environment, "LISTEN": f"127.0.0.1:{free_port()}"}, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def lives(pid: int) -> bool:
    """Say whether a process is there."""
    return Path(f"/proc/{pid}").exists()
