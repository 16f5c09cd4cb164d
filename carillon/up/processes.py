"""The services as processes of their own: started, watched, started again when they die, stopped in order."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

STOP_SECONDS = 40.0
RESTART_SECONDS = 0.5
READY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


class NotReady(Exception):
    """A service did not become ready; the message names it and where its log lies."""


@dataclass
class Replica:
    """One process of a service."""

    service: str
    number: int
    url: str
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    deaths: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The replica's name: the service, and a number where there are several."""
        return f"{self.service}-{self.number}" if self.number else self.service


class Processes:
    """All service processes of a stack; one that dies is started again, as a container engine would."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._replicas: list[Replica] = []
        self._watches: list[asyncio.Task[None]] = []
        self._stopping = False
        self.changed: Callable[[], None] = lambda: None
        """Called when a process has another id than before."""

    @classmethod
    @asynccontextmanager
    async def open(cls, say: Callable[[str], None]) -> AsyncIterator[Self]:
        """Stop whatever was started when the context ends."""
        processes = cls(say)
        try:
            yield processes
        finally:
            await processes.stop()

    async def start(self, replicas: list[Replica]) -> None:
        """Start the replicas and wait until all are ready; raises NotReady."""
        for replica in replicas:
            await self._spawn(replica)
            self._replicas.append(replica)
            self._watches.append(asyncio.create_task(self._watch(replica)))
        await asyncio.gather(*(self.ready(replica) for replica in replicas))

    async def ready(self, replica: Replica, seconds: float = READY_SECONDS) -> None:
        """Wait until a replica says that it is ready; raises NotReady."""
        try:
            async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
                while not await _answers_ready(session, replica.url):
                    if replica.restarts > 3:
                        raise NotReady(f"{replica.name} ends as soon as it starts; see {replica.log}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise NotReady(f"{replica.name} is not ready after {seconds:g} s; see {replica.log}") from None

    def of(self, service: str) -> list[Replica]:
        """Return the replicas of a service."""
        return [replica for replica in self._replicas if replica.service == service]

    @property
    def pids(self) -> dict[str, list[int]]:
        """The process ids of every service."""
        found: dict[str, list[int]] = {}
        for replica in self._replicas:
            if replica.process:
                found.setdefault(replica.service, []).append(replica.process.pid)
        return found

    async def kill(self, service: str, *, number: int = 0) -> int:
        """Kill a replica with SIGKILL, as a power cut would; it is started again. Return its process id."""
        process = self.of(service)[number].process
        if process is None or process.returncode is not None:
            raise RuntimeError(f"{service} does not run")
        process.kill()
        return process.pid

    async def stop(self) -> None:
        """Stop all services, the gateway first: SIGTERM, then SIGKILL after 40 s."""
        self._stopping = True
        for replica in reversed(self._replicas):
            if replica.process and replica.process.returncode is None:
                replica.process.send_signal(signal.SIGTERM)
        waits = [replica.process.wait() for replica in self._replicas if replica.process]
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*waits)
        except TimeoutError:
            for replica in self._replicas:
                if replica.process and replica.process.returncode is None:
                    self._say(f"{replica.name} did not stop in time and was killed")
                    replica.process.kill()
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _spawn(self, replica: Replica) -> None:
        with replica.log.open("ab") as log:
            replica.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"services.{replica.service}",
                env=dict(replica.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    async def _watch(self, replica: Replica) -> None:
        while True:
            process = replica.process
            if process is None:
                return
            code = await process.wait()
            if self._stopping:
                return
            replica.restarts += 1
            replica.deaths.append(process.pid)
            self._say(f"{replica.name} ended with {_reason(code)} and is started again")
            await asyncio.sleep(RESTART_SECONDS * min(replica.restarts, 10))
            if not self._stopping:
                await self._spawn(replica)
                self.changed()


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies, so that nothing is left behind."""
    # Its own session: a Ctrl-C reaches `carillon up`, which then stops the services in order.
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _answers_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(total=2)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
