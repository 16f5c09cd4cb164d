"""What figures are measured in: a stack whose PostgreSQL and NATS sync, and processes beside it."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from carillon.system import SERVICES
from carillon.up.processes import die_with_parent
from carillon.up.running import Options, Stack, running
from devstack.servers import free_port
from shared.bus import Bus

START_SECONDS = 60.0
COMMAND_SECONDS = 180.0
QUIET_SECONDS = 300.0


@dataclass(frozen=True)
class Running:
    """A process that listens."""

    pid: int
    port: int


@asynccontextmanager
async def stack(
    *services: str, settings: Mapping[str, str] | None = None, senders: int = 1
) -> AsyncIterator[Stack]:
    """Run a stack of these services, on servers that sync, as in production; of senders so many replicas."""
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as folder:
        replicas = {name: int(name in services) * (senders if name == "senders" else 1) for name in SERVICES}
        # Nothing else is given: it would be used instead of what the figures are about.
        given = {"PATH": os.environ["PATH"]}
        options = Options(Path(folder), replicas=replicas, settings=settings or {}, given=given)
        async with running(options, lambda _: None) as opened:
            yield opened


@asynccontextmanager
async def process(
    module: str, environment: Mapping[str, str], *, listens: str | None = None
) -> AsyncIterator[Running]:
    """Run a module as a process of its own, on a free port (PORT, LISTEN), or where `listens` says."""
    address = listens or f"127.0.0.1:{free_port()}"
    port = int(address.rpartition(":")[2])
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        env={"PATH": os.environ["PATH"], **environment, "PORT": str(port), "LISTEN": address},
        preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        await _listens(started, port, module)
        yield Running(started.pid, port)
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


async def command(module: str, given: bytes, *, seconds: float = COMMAND_SECONDS) -> bytes:
    """Run a module that reads its task and writes its result."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip
    async with asyncio.timeout(seconds):
        result, _ = await started.communicate(given)
    if started.returncode != 0:
        raise RuntimeError(f"{module} ended with {started.returncode}")
    return result


async def database(opened: Stack, name: str) -> str:
    """Make an empty database beside those of the services; return its URL."""
    admin = str(opened.outside.admin_database_url)
    connection = await asyncpg.connect(admin)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{admin.rpartition('/')[0]}/{name}"


async def quiet(opened: Stack, durables: Sequence[str]) -> None:
    """Wait until these durables have nothing left to do."""
    async with Bus.open(opened.outside.nats_url, service="bench") as bus, asyncio.timeout(QUIET_SECONDS):
        while any(each.waiting for each in await bus.streams.progress() if each.durable.name in durables):
            await asyncio.sleep(0.1)


async def _listens(started: asyncio.subprocess.Process, port: int, module: str) -> None:
    async with asyncio.timeout(START_SECONDS):
        while started.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
    raise RuntimeError(f"{module} ended with {started.returncode}")
